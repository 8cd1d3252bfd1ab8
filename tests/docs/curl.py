"""A stand-in for curl, as far as the examples use it, for machines that have none."""

import argparse
import base64
import http.client
import sys
from urllib.parse import urlsplit


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="curl")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-w", default="")
    parser.add_argument("-o", default="-")
    parser.add_argument("-u")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-X")
    parser.add_argument("-d", action="append")
    parser.add_argument("url")
    given = parser.parse_args(arguments)
    headers = dict(line.split(": ", 1) for line in given.H)
    if given.u:
        headers["Authorization"] = "Basic " + base64.b64encode(given.u.encode()).decode()
    if given.d is not None:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    url = urlsplit(given.url)
    target = url.path + (f"?{url.query}" if url.query else "")
    body = None if given.d is None else "&".join(given.d)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
    method = given.X or ("GET" if given.d is None else "POST")
    connection.request(method, target, body, headers)
    answer = connection.getresponse()
    came = answer.read().decode()
    told = given.w.replace("\\n", "\n").replace("%{http_code}", str(answer.status))
    sys.stdout.write(("" if given.o == "/dev/null" else came) + told)


if __name__ == "__main__":
    main(sys.argv[1:])
