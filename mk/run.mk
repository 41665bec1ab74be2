# SPDX-License-Identifier: MIT
# make run, make netboot, make iso.
