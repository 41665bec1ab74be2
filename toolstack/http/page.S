/* SPDX-License-Identifier: MIT */
/* page.S - the files of the web page as mk/dom0.mk has packed them; routes_page.c serves them. */
        .section .rodata.page, "a"

        .macro page_file symbol, name
        .globl page_\symbol, page_\symbol\()_end
page_\symbol:
        .incbin "page/\name\().gz"
page_\symbol\()_end:
        .endm

        page_file index_html, index.html
        page_file page_css, page.css
        page_file page_js, page.js
        page_file api_js, api.js
        page_file graph_js, graph.js
        page_file term_js, term.js
        page_file xterm_js, xterm.js
        page_file xterm_css, xterm.css
