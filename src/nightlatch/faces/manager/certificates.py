"""The number's verified-name certificate: shown, copied, downloaded, renewed."""

from collections.abc import AsyncIterator

from nightlatch.domain.errors import CertificateNotReady
from nightlatch.domain.members import MemberRole
from nightlatch.faces.exports import Download
from nightlatch.faces.manager.numbers import shows, to
from nightlatch.faces.manager.wire import Answer, Call, Page, Redirect
from nightlatch.usecases import numbers


async def show(call: Call) -> Answer:
    """The certificate, or why there is none yet."""
    number, shown = await shows(call, "certificate", MemberRole.ADMIN)
    text = None
    if number.name:
        text = numbers.certificate(call.world, number)
    return Page("certificate.html", shown | {"certificate": text})


async def download(call: Call) -> Answer:
    """A file with the one line. Raises CertificateNotReady."""
    number = await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
    text = numbers.certificate(call.world, number)

    async def chunks() -> AsyncIterator[bytes]:
        yield f"{text}\n".encode()

    return Download(f"certificate-{number.e164[1:]}.txt", "text/plain; charset=us-ascii", chunks())


async def renew_form(call: Call) -> Answer:
    """Asks once more. Raises CertificateNotReady."""
    number, shown = await shows(call, "certificate", MemberRole.ADMIN)
    if not number.name:
        raise CertificateNotReady
    return Page("certificate_renew.html", shown)


async def renew(call: Call) -> Answer:
    """Another one; the one before is revoked. Raises CertificateNotReady."""
    number = await numbers.seen_by(call.world, call.member, call.path["number"], MemberRole.ADMIN)
    await numbers.renew_certificate(call.world, number, call.member.email)
    return Redirect(to(number, "/certificate"), "certificate_renewed")
