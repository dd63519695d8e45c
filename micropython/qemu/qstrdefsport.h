// Names of this port for MicroPython's string table: none.
// SPDX-License-Identifier: MIT
