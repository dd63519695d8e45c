# The same modules as the variant whose oracle this one is.
# SPDX-License-Identifier: MIT

include("../variant/manifest.py")
