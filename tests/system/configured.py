# A farsockd with a configuration file.
# SPDX-License-Identifier: MIT

import shutil
import tempfile
from pathlib import Path

from harness import Far


class Configured(Far):
    """A farsockd with this configuration, in a directory of its user."""

    def __init__(self, text, **more):
        self.conf_dir = Path(tempfile.mkdtemp(prefix="farsock-test-"))
        self.conf_dir.chmod(0o755)
        conf = self.conf_dir / "farsockd.conf"
        conf.write_text(text, encoding="utf-8")
        super().__init__(["--config", conf], **more)

    def __exit__(self, *args):
        shutil.rmtree(self.conf_dir, ignore_errors=True)
        return super().__exit__(*args)
