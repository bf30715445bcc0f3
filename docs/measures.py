#!/usr/bin/env python3
"""Measures a Rust source tree, so that two states of it can be compared.

    docs/measures.py [SRC]        default: src

Definitions. Production code is everything before a file's `#[cfg(test)]` module, without files named tests.rs. A code line
is neither blank nor a comment. A function is measured from its `fn` line to the line that closes it. A type name is used
twice if two `struct`, `enum`, `trait` or `type` items share it; associated types, whose names their traits give, do not count. A doc comment is a run of `///` or `//!` lines. A circle is a
strongly connected set of more than one module, by `use` paths; folders are compared the same way.
"""
import collections, os, re, statistics, sys

ROOT = (sys.argv[1:] or ["src"])[0]
BARE = re.compile(r"^(Who|Whose|Whom|What|Of|So many|So long|The same|It|Its|They|Those|These|That|Which|Where|When|Whether)\b")


def production(path):
    text = open(path, encoding="utf-8").read()
    return re.split(r"^#\[cfg\((?:all\(\s*)?test\b", text, maxsplit=1, flags=re.M)[0]


files = sorted(
    os.path.join(d, f) for d, _, fs in os.walk(ROOT) for f in fs if f.endswith(".rs") and f != "tests.rs"
)
code = {f: production(f) for f in files}
lines = {f: t.splitlines() for f, t in code.items()}
total = [l for ls in lines.values() for l in ls]
real = [l for l in total if l.strip() and not l.strip().startswith("//")]


def functions(ls):
    i = 0
    while i < len(ls):
        m = re.match(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe )*fn (\w+)", ls[i])
        if m:
            for j in range(i, len(ls)):
                if ls[j].rstrip() == m.group(1) + "}" or (j == i and ls[j].rstrip().endswith("}")):
                    head = re.split(r"\)\s*(?:->|where|\{|;)", " ".join(ls[i : j + 1]))[0]
                    flat = re.sub(r"<[^<>()]*>|\([^()]*\)|\[[^\[\]]*\]", "", head.split("(", 1)[-1])
                    flat = re.sub(r"<[^<>]*>", "", flat)
                    yield m.group(2), j - i + 1, len([p for p in flat.split(",") if p.strip() and "self" not in p.split(":")[0]])
                    break
                if j == i and ls[j].rstrip().endswith(";"):
                    break
        i += 1


def leaves(tree):
    tree, out, depth, start = tree.strip(), [], 0, 0
    m = re.match(r"^(.*?)\{(.*)\}$", tree, re.S)
    if not m:
        return [tree.split(" as ")[0]]
    for k, c in enumerate(m.group(2) + ","):
        depth += (c == "{") - (c == "}")
        if c == "," and depth == 0:
            part = m.group(2)[start:k].strip()
            out += [m.group(1) + x for x in leaves(part)] if part else []
            start = k + 1
    return out


def module(f):
    parts = os.path.relpath(f, ROOT)[:-3].split(os.sep)
    parts = parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts
    return tuple(parts)


modules = {module(f): f for f in files}


def target(path):
    for n in range(len(path), 0, -1):
        if path[:n] in modules:
            return path[:n]


edges = collections.defaultdict(set)
for m, f in modules.items():
    text = re.sub(r"//[^\n]*", "", code[f])
    for u in re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?use ([^;]+);", text, re.M):
        for leaf in leaves(u):
            p = [s.strip() for s in leaf.split("::")]
            if p[0] == "crate":
                p = p[1:]
            elif p[0] in ("super", "self"):
                base = list(m)
                while p and p[0] in ("super", "self"):
                    base = base[:-1] if p[0] == "super" else base
                    p = p[1:]
                p = base + p
            else:
                continue
            t = target(tuple(p))
            if t and t != m:
                edges[m].add(t)


def circles(graph):
    index, low, stack, on, out, n = {}, {}, [], set(), [], [0]

    def visit(v):
        index[v] = low[v] = n[0]
        n[0] += 1
        stack.append(v)
        on.add(v)
        for w in graph.get(v, ()):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in on:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            group = []
            while True:
                w = stack.pop()
                on.discard(w)
                group.append(w)
                if w == v:
                    break
            if len(group) > 1:
                out.append(sorted("::".join(x) for x in group))

    sys.setrecursionlimit(10_000)
    for v in list(graph):
        if v not in index:
            visit(v)
    return sorted(out, key=len, reverse=True)


folders = collections.defaultdict(set)
for a, bs in edges.items():
    for b in bs:
        if a[:1] != b[:1] and len(a) and len(b):
            folders[a[:1]].add(b[:1])

types = collections.Counter()
for t in code.values():
    types.update(re.findall(r"^(?:\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait)|(?:pub(?:\([^)]*\))? )?type) ([A-Z]\w*)", t, re.M))
impl_files = collections.defaultdict(set)
for f, t in code.items():
    for name in re.findall(r"^impl(?:<[^>]*>)? (?:crate::\w+::)*([A-Z]\w*)(?:<[^{]*>)? \{", t, re.M):
        impl_files[name].add(f)

docs = []
for ls in lines.values():
    for i, l in enumerate(ls):
        s = l.strip()
        if s.startswith(("///", "//!")) and not (i and ls[i - 1].strip().startswith(("///", "//!"))):
            docs.append(s[3:].strip())

fns = [(n, f, name, p) for f, ls in lines.items() for name, n, p in functions(ls)]
consts = re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?(?:const|static) ([A-Z][A-Z0-9_]*):", "\n".join(code.values()), re.M)
sizes = sorted(len(ls) for ls in lines.values())
groups = circles(edges)
out = [
    ("files", len(files)),
    ("production lines", len(total)),
    ("code lines", len(real)),
    ("lines a file, median / longest", f"{statistics.median(sizes):.0f} / {sizes[-1]}"),
    ("lines over 100 columns", f"{sum(len(l) > 100 for l in total)} ({100 * sum(len(l) > 100 for l in total) / len(total):.1f} %)"),
    ("functions", len(fns)),
    ("functions over 50 / 80 lines", f"{sum(n > 50 for n, *_ in fns)} / {sum(n > 80 for n, *_ in fns)}"),
    ("longest functions", ", ".join(f"{os.path.relpath(f, ROOT)} {name} {n}" for n, f, name, _ in sorted(fns, reverse=True)[:4])),
    ("functions with 6 / 8 or more parameters", f"{sum(p >= 6 for *_, p in fns)} / {sum(p >= 8 for *_, p in fns)}"),
    ("type names", len(types)),
    ("type names used twice or more", f"{sum(c > 1 for c in types.values())}: " + " ".join(sorted(t for t, c in types.items() if c > 1))),
    ("types with inherent impls in several files", sum(len(v) > 1 for k, v in impl_files.items() if types[k] == 1)),
    ("constants of one word", f"{sum('_' not in c for c in consts)} of {len(consts)}"),
    ("doc comments", len(docs)),
    ("doc comments that open without a subject", sum(bool(BARE.match(d)) for d in docs)),
    ("circles of modules, sizes", " ".join(str(len(g)) for g in groups) or "none"),
    ("circles of folders, sizes", " ".join(str(len(g)) for g in circles(folders)) or "none"),
    ("== Platform:: / != Platform::", len(re.findall(r"[!=]= Platform::", "\n".join(code.values())))),
]
width = max(len(k) for k, _ in out)
for k, v in out:
    print(f"{k:<{width}}  {v}")
if os.environ.get("CIRCLES"):
    for g in groups:
        print(len(g), " ".join(g))
