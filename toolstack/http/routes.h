/* SPDX-License-Identifier: MIT */
/* routes.h - the HTTP API: what docs/http-api.md describes. */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "runtime/stream.h"

/* Serves the API on that port. 0 or a negative error. */
int api_start(struct stream_net *net, uint16_t port);

#endif
