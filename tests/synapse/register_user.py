#!/usr/bin/env python3
"""Registers an account with the shared secret of a test server, as an operator would; prints the server's answer.

usage: register_user.py URL USER PASSWORD [--admin] [--secret SECRET]
"""
import argparse
import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("user")
    parser.add_argument("password")
    parser.add_argument("--admin", action="store_true")
    parser.add_argument("--secret", default="tests", help="the one up.sh sets by default")
    args = parser.parse_args()

    try:
        print(register(args))
    except urllib.error.HTTPError as error:
        print(error.read().decode(), file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(f"{args.url}: {error.reason}", file=sys.stderr)
        return 1
    return 0


def register(args: argparse.Namespace) -> str:
    endpoint = args.url.rstrip("/") + "/_synapse/admin/v1/register"
    with urllib.request.urlopen(endpoint) as answer:
        nonce = json.load(answer)["nonce"]
    fields = [nonce, args.user, args.password, "admin" if args.admin else "notadmin"]
    mac = hmac.new(args.secret.encode(), b"\0".join(f.encode() for f in fields), hashlib.sha1).hexdigest()
    body = {"nonce": nonce, "username": args.user, "password": args.password, "admin": args.admin, "mac": mac}
    request = urllib.request.Request(endpoint, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


if __name__ == "__main__":
    sys.exit(main())
