/* SPDX-License-Identifier: MIT */
/*
 * routes_page.c - the web page: files that are part of the image. They say nothing of this host, so
 * everybody gets them; what they show they ask for as any client does, with a credential. No part of
 * the API, and so not in openapi.json.
 */
#include "toolstack/http/api.h"

/* Nothing from elsewhere, nothing inline but styles (the terminal sets its own), in no frame. */
#define POLICY \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " \
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; " \
    "frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"

#define FILES(file) \
    file(index_html, "/", "text/html; charset=utf-8") \
    file(page_css, "/page.css", "text/css") \
    file(page_js, "/page.js", "text/javascript") \
    file(api_js, "/api.js", "text/javascript") \
    file(graph_js, "/graph.js", "text/javascript") \
    file(term_js, "/term.js", "text/javascript") \
    file(xterm_js, "/xterm.js", "text/javascript") \
    file(xterm_css, "/xterm.css", "text/css")

#define HANDLER(symbol, path, type) \
    static void get_##symbol(struct api_call *k) \
    { \
        extern const char page_##symbol[], page_##symbol##_end[]; \
        http_reply_static(k->conn, type, "gzip", POLICY, page_##symbol, \
                          (size_t)(page_##symbol##_end - page_##symbol)); \
    }
FILES(HANDLER)

#define ROW(symbol, path, type) { HTTP_GET, path, ROLE_ANYBODY, 0, get_##symbol },

static const struct api_route rows[] = { FILES(ROW) };

API_TABLE(routes_page, rows);
