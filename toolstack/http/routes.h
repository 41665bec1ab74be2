/* SPDX-License-Identifier: MIT */
/* routes.h - the HTTP API: what docs/http-api.md describes. */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include "runtime/stream.h"
#include "toolstack/http/auth.h"

/*
 * Serves the API on that port. tokens: who may what; a stream's identity ("admin", "reader") counts
 * as well. It must stay; PUT /v1/tokens changes it. NULL: everybody may everything. outside: for files that are fetched. 0 or
 * a negative error.
 */
int api_start(struct stream_net *net, uint16_t port, struct auth_tokens *tokens,
              struct stream_net *outside);

#endif
