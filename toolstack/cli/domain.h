/* SPDX-License-Identifier: MIT */
/*
 * domain.h - domains as a host tells of them: fields taken out of JSON with their types checked.
 * Texts belong to the JSON value.
 */
#ifndef CLI_DOMAIN_H
#define CLI_DOMAIN_H

#include <jansson.h>
#include "toolstack/cli/cli.h"

struct domain {
    const char *name, *state, *uuid, *reason;   /* uuid and reason may be NULL */
    int64_t id;                 /* -1 = has none (not built yet) */
    uint64_t memory_kib, max_memory_kib;
    unsigned int vcpus, vcpus_online;
    double cpu_seconds;
    unsigned int weight, cap;
    int64_t started;            /* seconds since 1970; 0 = unknown */
    uint64_t restarts;
    bool blocked;
    const json_t *json;
};

/* False with one line in *why (static) when v is no domain. */
bool domain_read(const json_t *v, struct domain *d, const char **why);

/* xl's six letters: r b p s c d, each in its place, or '-'. */
void domain_letters(const struct domain *d, char out[7]);

/* Asks the host. *json holds the answer that the domains' texts belong to. The array is freed by the
 * caller. A list in which something is no domain is refused as a whole. */
int domains_get(struct cli *c, json_t **json, struct domain **list, size_t *n);
/* One; a name or id that is not there is complained about with what there is. */
int domain_get(struct cli *c, const char *name, json_t **json, struct domain *d);
/* As that, but a domain that is not there is CLI_NOT_FOUND without a word. */
int domain_look(struct cli *c, const char *name, json_t **json, struct domain *d);
/* A request for a domain, complaining with what there is when it is not there. */
int domain_call(struct cli *c, const char *name, const char *method, const char *rest, const char *offer,
                json_t *body, json_t **out);
/* The same, for what the host answers only when it is done: so many seconds, 0 as usual. */
int domain_call_slow(struct cli *c, const char *name, const char *method, const char *rest, const char *offer,
                     unsigned int seconds, json_t *body, json_t **out);

/* Fields of an object, the fallback when absent or of another type. */
const char *field_string(const json_t *o, const char *key);     /* NULL as fallback */
uint64_t field_uint(const json_t *o, const char *key, uint64_t fallback);
double field_number(const json_t *o, const char *key, double fallback);

#endif
