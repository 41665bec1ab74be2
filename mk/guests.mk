# SPDX-License-Identifier: MIT
# Mini guests (tests/guests, guests), each a small PV ELF on runtime/.
