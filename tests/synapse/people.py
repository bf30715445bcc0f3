#!/usr/bin/env python3
"""A person at a Matrix room, by hand: the client-server API over plain HTTP, with nothing of the bot's own client in it.

usage: people.py [--url URL] [--token TOKEN] COMMAND …

  register USER PASSWORD            an account (the test server asks for nothing more)
  login USER PASSWORD               prints the access token, for --token or MATRIX_TOKEN
  whoami
  create-room [NAME] [--public] [--invite USER_ID]…
  invite ROOM USER_ID
  join ROOM
  say ROOM TEXT
  react ROOM EVENT KEY
  reply-in-thread ROOM EVENT TEXT
  redact ROOM EVENT [REASON]
  messages ROOM                     the whole timeline, oldest first

Every answer is JSON on stdout; an error is the server's own JSON on stderr, and exit code 1.
The URL may come from MATRIX_URL.
"""
import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid


class Person:
    def __init__(self, url: str, token: str | None = None):
        self.url = url.rstrip("/")
        self.token = token

    def call(self, method: str, *path: str, body: dict | None = None, query: dict | None = None) -> dict:
        url = "/".join([self.url, "_matrix/client/v3", *(urllib.parse.quote(part, safe="") for part in path)])
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
            return json.load(answer)

    def register(self, user: str, password: str) -> dict:
        body = {"username": user, "password": password, "auth": {"type": "m.login.dummy"}}
        return self.call("POST", "register", body=body)

    def login(self, user: str, password: str) -> dict:
        identifier = {"type": "m.id.user", "user": user}
        body = {"type": "m.login.password", "identifier": identifier, "password": password}
        return self.call("POST", "login", body=body)

    def whoami(self) -> dict:
        return self.call("GET", "account", "whoami")

    def create_room(self, name: str | None, public: bool, invite: list[str]) -> dict:
        body = {"preset": "public_chat" if public else "private_chat", "invite": invite}
        if name:
            body["name"] = name
        return self.call("POST", "createRoom", body=body)

    def invite(self, room: str, user_id: str) -> dict:
        return self.call("POST", "rooms", room, "invite", body={"user_id": user_id})

    def join(self, room: str) -> dict:
        return self.call("POST", "join", room, body={})

    def send(self, room: str, kind: str, content: dict) -> dict:
        return self.call("PUT", "rooms", room, "send", kind, str(uuid.uuid4()), body=content)

    def say(self, room: str, text: str) -> dict:
        return self.send(room, "m.room.message", {"msgtype": "m.text", "body": text})

    def react(self, room: str, event: str, key: str) -> dict:
        relation = {"rel_type": "m.annotation", "event_id": event, "key": key}
        return self.send(room, "m.reaction", {"m.relates_to": relation})

    def reply_in_thread(self, room: str, event: str, text: str) -> dict:
        relation = {
            "rel_type": "m.thread",
            "event_id": event,
            "is_falling_back": True,
            "m.in_reply_to": {"event_id": event},
        }
        return self.send(room, "m.room.message", {"msgtype": "m.text", "body": text, "m.relates_to": relation})

    def redact(self, room: str, event: str, reason: str | None) -> dict:
        body = {"reason": reason} if reason else {}
        return self.call("PUT", "rooms", room, "redact", event, str(uuid.uuid4()), body=body)

    def messages(self, room: str) -> list[dict]:
        events, query = [], {"dir": "f", "limit": "500"}
        while True:
            page = self.call("GET", "rooms", room, "messages", query=query)
            events += page["chunk"]
            if not page.get("end"):
                return events
            query["from"] = page["end"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("MATRIX_URL"))
    parser.add_argument("--token", default=os.environ.get("MATRIX_TOKEN"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, *positional: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name)
        for argument in positional:
            optional = argument.endswith("?")
            sub.add_argument(argument.rstrip("?"), nargs="?" if optional else None)
        return sub

    command("register", "user", "password")
    command("login", "user", "password")
    command("whoami")
    create = command("create-room", "name?")
    create.add_argument("--public", action="store_true")
    create.add_argument("--invite", action="append", default=[])
    command("invite", "room", "user_id")
    command("join", "room")
    command("say", "room", "text")
    command("react", "room", "event", "key")
    command("reply-in-thread", "room", "event", "text")
    command("redact", "room", "event", "reason?")
    command("messages", "room")
    args = parser.parse_args()
    if not args.url:
        parser.error("which server? --url or MATRIX_URL")
    return args


def main() -> int:
    args = vars(arguments())
    person = Person(args.pop("url"), args.pop("token"))
    act = getattr(person, args.pop("command").replace("-", "_"))
    try:
        print(json.dumps(act(**args), ensure_ascii=False))
    except urllib.error.HTTPError as error:
        print(error.read().decode(), file=sys.stderr)
        return 1
    except urllib.error.URLError as error:
        print(json.dumps({"error": str(error.reason)}), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
