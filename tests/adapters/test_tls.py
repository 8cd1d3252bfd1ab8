"""The certificate that the server makes for itself."""

import ipaddress
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nightlatch.adapters.tls import self_signed
from tests.people import NOON


def names_in(cert_file: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "192.0.2.7", "2001:db8::7", "gate.test"])
def test_the_certificate_names_the_host_and_this_machine(tmp_path: Path, host: str):
    cert_file, _ = self_signed(tmp_path / "tls", host, NOON)

    assert names_in(cert_file) == {
        "localhost", "127.0.0.1", "::1", host, socket.gethostname(),
    }  # fmt: skip


def test_addresses_are_named_as_addresses(tmp_path: Path):
    cert_file, _ = self_signed(tmp_path / "tls", "192.0.2.7", NOON)

    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    assert ipaddress.ip_address("192.0.2.7") in addresses


def test_the_key_belongs_to_the_certificate_and_only_its_owner_reads_it(tmp_path: Path):
    cert_file, key_file = self_signed(tmp_path / "tls", "127.0.0.1", NOON)

    certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.parent.stat().st_mode & 0o777 == 0o700
    assert key.public_key() == certificate.public_key()
    assert certificate.not_valid_before_utc <= NOON - timedelta(hours=23)
    assert certificate.not_valid_after_utc >= NOON + timedelta(days=3_000)


def test_a_second_start_uses_the_same_certificate(tmp_path: Path):
    first = [file.read_bytes() for file in self_signed(tmp_path / "tls", "127.0.0.1", NOON)]

    again = self_signed(tmp_path / "tls", "127.0.0.1", NOON + timedelta(days=9))

    assert [file.read_bytes() for file in again] == first


def test_a_key_left_without_its_certificate_is_replaced_and_private_again(tmp_path: Path):
    cert_file, key_file = self_signed(tmp_path / "tls", "127.0.0.1", NOON)
    old = key_file.read_bytes()
    cert_file.unlink()
    key_file.chmod(0o644)

    self_signed(tmp_path / "tls", "127.0.0.1", NOON)

    assert key_file.read_bytes() != old
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_the_pair_can_be_served_and_trusted(tmp_path: Path):
    cert_file, key_file = self_signed(tmp_path / "tls", "127.0.0.1", NOON)

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)
    client = ssl.create_default_context(cafile=str(cert_file))

    assert client.cert_store_stats()["x509_ca"] == 1
