/* SPDX-License-Identifier: MIT */
/* version.h - the version of this tree, as the API and the command tell it. */
#ifndef VERSION_H
#define VERSION_H

#define SLUICE_VERSION "0.2"

#endif
