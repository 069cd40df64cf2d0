"""A folder includes only what stands to its left, and third-party headers stay in their one folder.

    base <- rocksdb <- log | store | aggregate <- worker <- server <- cmd
    domain/* sees base, aggregate and its own proto

The rules are those of the design ("Layout and layers"). Run by ctest; by hand: python3 tests/layering_test.py
"""

import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folder -> folders that its files may include from, besides itself.
LAYERS = {
    "engine/base": [],
    "engine/rocksdb": ["engine/base"],
    "engine/log": ["engine/base", "engine/rocksdb"],
    "engine/store": ["engine/base", "engine/rocksdb"],
    "engine/aggregate": ["engine/base"],
    "engine/worker": ["engine/base", "engine/log", "engine/store", "engine/aggregate"],
    "engine/server": ["engine/base", "engine/log", "engine/store", "engine/aggregate", "engine/worker"],
    "cmd": ["engine", "domain"],
    "domain": ["engine/base", "engine/aggregate"],
}

# Header -> the folder whose .cc files alone may include it; gRPC may also stand in headers.
THIRD_PARTY = [
    (re.compile(r"librdkafka/"), ["engine/log/kafka"], True),
    (re.compile(r"rocksdb/"), ["engine/rocksdb", "engine/store", "engine/log/embedded"], True),
    (re.compile(r"grpc(pp|\+\+)?/"), ["engine/server", "cmd"], False),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    return next((layer for layer in LAYERS if is_below(path, layer)), None)


def allowed(path, included):
    """Whether the file at `path` may include the project's header `included`."""
    layer = layer_of(path)
    if layer is None:
        return False
    if layer == "domain":
        own = "/".join(path.split("/")[:2])  # one domain doesn't see another
        return is_below(included, own) or any(is_below(included, left) for left in LAYERS[layer])
    return is_below(included, layer) or any(is_below(included, left) for left in LAYERS[layer])


def violation(path, included):
    """Why the file at `path` must not include `included`; None when it may."""
    for pattern, folders, only_cc in THIRD_PARTY:
        if pattern.match(included):
            if not any(is_below(path, folder) for folder in folders):
                return f"{included} belongs into {' and '.join(folders)} alone"
            if only_cc and not path.endswith(".cc"):
                return f"{included} belongs into .cc files alone"
            return None
    if included.startswith(("engine/", "domain/", "cmd/")) and not allowed(path, included):
        return f"{included} does not stand to the left of {layer_of(path)}"
    # A domain's own messages; tests of the engine take a domain as their example.
    proto = re.match(r"(\w+)/v1/\w+\.pb\.h", included)
    if proto and proto.group(1) != "esd" and not re.search(r"_(test|benchmark)\.cc$", path):
        if not is_below(path, f"domain/{proto.group(1)}"):
            return f"{included} belongs to domain/{proto.group(1)}"
    return None


def violations(root):
    found = []
    for top in ("engine", "domain", "cmd"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            path = file.relative_to(root).as_posix()
            if re.search(r"_(test|benchmark)\.cc$", path):
                # A test may use any domain as its example, not turn the layers round otherwise.
                includes = [i for i in INCLUDE.findall(file.read_text()) if not i.startswith("domain/")]
            else:
                includes = INCLUDE.findall(file.read_text())
            for included in includes:
                why = violation(path, included)
                if why:
                    found.append(f"{path}: {why}")
    return found


class Layering(unittest.TestCase):
    def test_every_include_points_to_the_left(self):
        files = [p for top in ("engine", "domain", "cmd") for p in (ROOT / top).rglob("*.cc")]
        self.assertGreater(len(files), 20, "the sources were not found")
        self.assertEqual(violations(ROOT), [])

    def check(self, path, line, expected):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True)
            file.write_text(line + "\n")
            self.assertEqual(len(violations(pathlib.Path(folder))), expected, f"{path}: {line}")

    def test_what_points_to_the_right_is_found(self):
        for path, line in [
            ("engine/base/a.h", '#include "engine/log/log.h"'),
            ("engine/log/a.h", '#include "engine/store/snapshot_store.h"'),
            ("engine/aggregate/a.cc", '#include "engine/worker/worker.h"'),
            ("engine/worker/a.cc", '#include "engine/server/engine.h"'),
            ("engine/worker/a.cc", '#include "domain/security/security.h"'),
            ("engine/worker/a.cc", '#include "security/v1/security.pb.h"'),
            ("engine/server/a.cc", '#include "cmd/esd/options.h"'),
            ("domain/security/a.h", '#include "engine/log/log.h"'),
            ("domain/security/a.h", '#include "domain/orders/orders.h"'),
            ("engine/log/kafka/a.h", "#include <librdkafka/rdkafka.h>"),
            ("engine/worker/a.cc", "#include <librdkafka/rdkafka.h>"),
            ("engine/store/a.h", "#  include <rocksdb/db.h>"),
            ("engine/worker/a.cc", "#include <grpcpp/grpcpp.h>"),
        ]:
            self.check(path, line, 1)

    def test_what_points_to_the_left_is_not(self):
        for path, line in [
            ("engine/log/kafka/a.cc", '#include "engine/log/log.h"\n#include <librdkafka/rdkafka.h>'),
            ("engine/store/a.cc", "#include <rocksdb/db.h>"),
            ("engine/server/a.h", "#include <grpcpp/grpcpp.h>"),
            ("engine/worker/a.cc", '#include "engine/aggregate/codec.h"'),
            ("engine/worker/a_test.cc", '#include "domain/security/security.h"'),
            ("cmd/esd/a.cc", '#include "domain/security/security.h"'),
            ("domain/security/a.cc", '#include "security/v1/security.pb.h"'),
        ]:
            self.check(path, line, 0)


if __name__ == "__main__":
    unittest.main()
