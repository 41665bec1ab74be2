/* SPDX-License-Identifier: MIT */
/* image.h - files that a host makes domains of: what it has, and bringing it more. */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include <jansson.h>
#include "toolstack/cli/cli.h"

/* What the host has: an array of objects with at least a name. */
int images_get(struct cli *c, json_t **list);
/* The one of that name in the list, or NULL. */
const json_t *image_find(const json_t *list, const char *name);

/* Brings a file of this machine to the host under a name. */
int image_upload(struct cli *c, const char *path, const char *name, json_t **out);

/*
 * The name under which a file's contents are kept on a host: its own name without directories and
 * odd characters, and the start of its SHA-256, so that equal contents are brought once. To be
 * freed; NULL after a complaint.
 */
char *image_name(struct cli *c, const char *path);

#define IMAGE_NAME_MAX 63

#endif
