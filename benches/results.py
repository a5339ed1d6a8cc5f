"""Keeps what was measured, so that an interrupted run can go on, and some rows can be measured again."""

import json
import os

from measure import Failed


class Results:
    """A file with the figure of each row and peer, and the build it belongs to. Those of other builds are dropped."""

    def __init__(self, path, peers):
        self.path, self.builds, self.rows, self.dropped = path, {p.name: p.build() for p in peers}, {}, 0
        if os.path.exists(path):
            with open(path) as f:
                for key, entries in json.load(f).items():
                    kept = {n: e for n, e in entries.items() if e["build"] == self.builds.get(n)}
                    self.rows[key] = kept
                    self.dropped += len(entries) - len(kept)

    def forget(self, rows):
        for row in rows:
            self.rows.pop(row.key, None)

    def has(self, row, peer):
        return peer.name in self.rows.get(row.key, {})

    def put(self, row, got):
        for name, value in got.items():
            entry = {"build": self.builds[name]}
            entry.update({"failed": str(value)} if isinstance(value, Failed) else {"value": value})
            self.rows.setdefault(row.key, {})[name] = entry
        with open(self.path + ".new", "w") as f:
            json.dump(self.rows, f, indent=1)
        os.replace(self.path + ".new", self.path) # an interruption leaves the old file or the new one

    def value(self, row, name):
        """A number, [median, least, most], or None."""
        if hasattr(row, "rows"):
            more, less = (self.value(r, name) for r in row.rows)
            return None if more is None or not less else (more / less - 1) * 100
        return self.rows.get(row.key, {}).get(name, {}).get("value")

    def why_not(self, row, name):
        return self.rows.get(row.key, {}).get(name, {}).get("failed")
