/* SPDX-License-Identifier: MIT */
/* openapi.S - the API's description, toolstack/http/openapi.json, as mk/dom0.mk has packed it. */
        .section .rodata.openapi, "a"
        .globl openapi_json, openapi_json_end
openapi_json:
        .incbin "openapi.json"
openapi_json_end:
