#!/usr/bin/env python3
"""A person in encrypted rooms, with a client of their own (matrix-nio) and a device of their own.

usage: sealed.py URL USER PASSWORD STORE

Says what comes, a line of JSON each: {"event", "room", "sender", "body", "decrypted"}; and does what each line of JSON on
stdin asks for, answering {"done": ORDER, "event": ID}:

  {"do": "join", "room": ROOM}
  {"do": "say", "room": ROOM, "body": TEXT}
  {"do": "reply", "room": ROOM, "root": EVENT, "body": TEXT}   in the thread below the event
  {"do": "react", "room": ROOM, "event": EVENT, "key": EMOJI}
  {"do": "vote", "room": ROOM, "event": EVENT, "answers": [ID]}

Of a vote, "body" is its question and "answers" the ids; the end of one has the "ended" one's id.
"""
import asyncio
import json
import sys

from nio import (
    AsyncClient, AsyncClientConfig, InviteMemberEvent, LoginResponse, MegolmEvent, RoomMessageNotice, RoomMessageText, UnknownEvent,
)

POLL = "org.matrix.msc3381.poll."
TEXT = "org.matrix.msc1767.text"


def tell(**what):
    print(json.dumps(what), flush=True)


async def obey(client: AsyncClient, order: dict):
    room = order["room"]
    match order["do"]:
        case "join":
            return await client.join(room)
        case "say":
            content = {"msgtype": "m.text", "body": order["body"]}
        case "reply":
            relation = {"rel_type": "m.thread", "event_id": order["root"], "is_falling_back": True}
            relation["m.in_reply_to"] = {"event_id": order["root"]}
            content = {"msgtype": "m.text", "body": order["body"], "m.relates_to": relation}
        case "react":
            relation = {"rel_type": "m.annotation", "event_id": order["event"], "key": order["key"]}
            return await client.room_send(room, "m.reaction", {"m.relates_to": relation}, ignore_unverified_devices=True)
        case "vote":
            relation = {"rel_type": "m.reference", "event_id": order["event"]}
            content = {"m.relates_to": relation, POLL + "response": {"answers": order["answers"]}}
            return await client.room_send(room, POLL + "response", content, ignore_unverified_devices=True)
        case other:
            raise ValueError(other)
    return await client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)


async def main(url: str, user: str, password: str, store: str):
    config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
    client = AsyncClient(url, user, store_path=store, config=config)
    answer = await client.login(password, device_name="sealed.py")
    if not isinstance(answer, LoginResponse):
        sys.exit(f"no login: {answer}")

    def came(room, event):
        tell(event=event.event_id, room=room.room_id, sender=event.sender, body=event.body, decrypted=event.decrypted)

    def sealed(room, event):
        tell(event=event.event_id, room=room.room_id, sender=event.sender, body=None, decrypted=False)

    def other(room, event):
        about = {"event": event.event_id, "room": room.room_id, "sender": event.sender, "decrypted": event.decrypted}
        content = event.source["content"]
        if event.type == POLL + "start":
            poll = content[event.type]
            tell(**about, body=poll["question"][TEXT], answers=[answer["id"] for answer in poll["answers"]])
        if event.type == POLL + "end":
            tell(**about, body=None, ended=content["m.relates_to"]["event_id"])

    async def invited(room, event):
        if event.membership == "invite" and event.state_key == client.user_id:
            await client.join(room.room_id)

    client.add_event_callback(came, (RoomMessageText, RoomMessageNotice))
    client.add_event_callback(sealed, MegolmEvent)
    client.add_event_callback(other, UnknownEvent)
    client.add_event_callback(invited, InviteMemberEvent)
    await client.sync(timeout=0, full_state=True)
    tell(ready=client.user_id, device=client.device_id)
    following = asyncio.create_task(client.sync_forever(timeout=1000))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        answer = await obey(client, order)
        tell(done=order["do"], event=getattr(answer, "event_id", None), error=getattr(answer, "message", None))
    following.cancel()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
