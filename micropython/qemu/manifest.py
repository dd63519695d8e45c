# Python modules frozen into the image.
# SPDX-License-Identifier: MIT

include("$(MPY_DIR)/extmod/asyncio")
module("ssl.py", base_path="..", opt=3)
module("_boot.py", opt=3)
