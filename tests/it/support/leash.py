"""Runs a server for a test, and never longer than the test.  leash.py OUT ERR REMOVE COMMAND...

The test holds the other end of our standard input. Each line from there is a signal for the server's process group, and for
those of its descendants that made groups of their own; its end, which comes however the test process ends, kills them. We write the server's process id at the start, one line for
each signal when it has been sent, and exit as the server does. OUT and ERR receive its output; REMOVE, unless empty, is a
folder to delete afterwards.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

out, err, remove, *command = sys.argv[1:]
with open(out, "ab") as o, open(err, "ab") as e:
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=o, stderr=e, start_new_session=True)
print(server.pid, flush=True)


def outside_the_group():
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent, group = map(int, stat.read().rpartition(")")[2].split()[1:3])
        except OSError:  # has just ended
            continue
        children.setdefault(parent, []).append((int(name), group))
    found, left = [], [server.pid]
    while left:
        below = children.get(left.pop(), [])
        found += [pid for pid, group in below if group != server.pid]
        left += [pid for pid, _ in below]
    return found


def send(number):
    others = outside_the_group()
    for kill, target in [(os.killpg, server.pid), *((os.kill, pid) for pid in others)]:
        try:
            kill(target, number)
        except ProcessLookupError:
            pass


def guard():
    for line in sys.stdin:
        send(getattr(signal, "SIG" + line.strip()))
        print(line.strip(), flush=True)
    send(signal.SIGKILL)


threading.Thread(target=guard, daemon=True).start()
code = server.wait()
send(signal.SIGKILL)  # what the server left behind
if remove:
    shutil.rmtree(remove, ignore_errors=True)
os._exit(code if code >= 0 else 128 - code)
