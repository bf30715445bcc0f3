"""Fetches Paseo's genesis, which has its runtime, to DIR/paseo.json: paseo.py DIR

A crate of the Polkadot SDK holds it. Its checksum is pinned, since tests execute the runtime.
"""

import hashlib
import io
import pathlib
import sys
import tarfile
import urllib.request

CRATE = "polkadot-service-25.0.0"
URL = f"https://static.crates.io/crates/polkadot-service/{CRATE}.crate"
SHA256 = "348c1b06edeb6edd86f6b9e7e46d1ee9287039c9ee7953d2cfc06d788a9c9452"

with urllib.request.urlopen(URL, timeout=120) as answer:
    crate = answer.read()
found = hashlib.sha256(crate).hexdigest()
if found != SHA256:
    sys.exit(f"{URL} has the checksum {found}, not {SHA256}")
with tarfile.open(fileobj=io.BytesIO(crate)) as files:
    genesis = files.extractfile(f"{CRATE}/chain-specs/paseo.json").read()
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
(folder / "paseo.json").write_bytes(genesis)
