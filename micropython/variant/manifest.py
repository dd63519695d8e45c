# Python modules frozen into both of our builds.
# SPDX-License-Identifier: MIT

include("$(MPY_DIR)/extmod/asyncio")
module("ssl.py", base_path="..", opt=3)
