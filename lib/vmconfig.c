/* SPDX-License-Identifier: MIT */
/*
 * vmconfig.c - what the keys of an xl.cfg mean to us. Pure.
 *
 * Three kinds of key: those that are applied (a row in `keys`), those that only tune what we do
 * not have and lose nothing by being left out (a row of that kind in xlkeys.c: reported, the
 * domain starts), and all others, which are refused, so that nobody believes a setting in force
 * that is not.
 */
#include "lib/vmconfig.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/vmparse.h"
#include "lib/xlkeys.h"

bool passed_over(struct parse *p)
{
    if (!p->go_on(p))
        return false;
    p->refused++;
    return true;
}

void no_effect(struct parse *p, unsigned int line, unsigned int column, const char *fmt, ...)
{
    char text[WHY_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    p->found(p, &(struct vm_config_finding){ .line = line, .column = column, .text = text });
}

int apply_list(struct parse *p, struct xlcfg_node *n, apply_fn one)
{
    for (struct xlcfg_node *e = n->child; e; e = e->next) {
        int rc = one(p, e);

        if (rc && !passed_over(p))
            return rc;
    }
    return 0;
}

/* ------------------------------------------------------------------ simple values */

static int take_string(struct parse *p, struct xlcfg_node *n, char *to, size_t size)
{
    if (n->type != XLCFG_STRING)
        return BAD(p, n, "%s must be a text in quotes", n->key);
    if (strlen(n->string) >= size)
        return BAD(p, n, "%s is longer than %zu characters", n->key, size - 1);
    strlcpy(to, n->string, size);
    return 0;
}

/* xl takes numbers in quotes as well. */
static int take_number(struct parse *p, struct xlcfg_node *n, uint64_t min, uint64_t max,
                       uint32_t *to)
{
    uint64_t v = n->number;

    if (n->type == XLCFG_STRING) {
        struct word w = { n->string, strlen(n->string) };
        if (!word_number(&w, max, &v) || w.len)
            return BAD(p, n, "%s must be a number from %lu to %lu, not '%.32s'", n->key, min, max,
                       n->string);
    } else if (n->type != XLCFG_NUMBER) {
        return BAD(p, n, "%s must be a number", n->key);
    }
    if (v < min || v > max)
        return BAD(p, n, "%s must be a number from %lu to %lu, not %lu", n->key, min, max, v);
    *to = (uint32_t)v;
    return 0;
}

static int apply_name(struct parse *p, struct xlcfg_node *n)
{
    int rc = take_string(p, n, p->cfg->name, sizeof(p->cfg->name));
    char what[WHY_MAX];

    if (rc)
        return rc;
    rc = vm_name_check(n->string, what);
    return rc ? BAD(p, n, "%s", what) : 0;
}

static int apply_kernel(struct parse *p, struct xlcfg_node *n)
{
    return take_string(p, n, p->cfg->kernel, sizeof(p->cfg->kernel));
}

static int apply_ramdisk(struct parse *p, struct xlcfg_node *n)
{
    return take_string(p, n, p->cfg->ramdisk, sizeof(p->cfg->ramdisk));
}

static int apply_cmdline(struct parse *p, struct xlcfg_node *n)
{
    p->has_cmdline = true;
    return take_string(p, n, p->cfg->cmdline, sizeof(p->cfg->cmdline));
}

static int apply_root(struct parse *p, struct xlcfg_node *n)
{
    return take_string(p, n, p->root, sizeof(p->root));
}

static int apply_extra(struct parse *p, struct xlcfg_node *n)
{
    return take_string(p, n, p->extra, sizeof(p->extra));
}

static int apply_memory(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 1, 1u << 22, &p->cfg->memory_mib);
}

static int apply_maxmem(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 1, 1u << 22, &p->cfg->maxmem_mib);
}

static int apply_vcpus(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 1, VM_VCPUS, &p->cfg->vcpus);
}

static int apply_maxvcpus(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 1, VM_VCPUS, &p->cfg->maxvcpus);
}

static int apply_weight(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 1, 65535, &p->cfg->cpu_weight);
}

static int apply_cap(struct parse *p, struct xlcfg_node *n)
{
    return take_number(p, n, 0, VM_VCPUS * 100, &p->cfg->cpu_cap);
}

static int apply_uuid(struct parse *p, struct xlcfg_node *n)
{
    uint8_t u[16] = { 0 };
    unsigned int digits = 0;

    if (n->type != XLCFG_STRING)
        return BAD(p, n, "uuid must be a text in quotes");
    for (const char *s = n->string; *s; s++) {
        int d = hex_digit(*s);

        if (*s == '-' && (digits == 8 || digits == 12 || digits == 16 || digits == 20))
            continue;
        if (d < 0 || digits == 32)
            return BAD(p, n, "uuid '%.40s' is not 8-4-4-4-12 hexadecimal digits", n->string);
        u[digits / 2] = (uint8_t)(u[digits / 2] << 4 | d);
        digits++;
    }
    if (digits != 32)
        return BAD(p, n, "uuid '%.40s' is not 8-4-4-4-12 hexadecimal digits", n->string);
    memcpy(p->cfg->uuid, u, sizeof(u));
    return 0;
}

/* type = "pv", builder = "linux" or "generic": all that we run. */
static int apply_type(struct parse *p, struct xlcfg_node *n)
{
    if (n->type != XLCFG_STRING)
        return BAD(p, n, "%s must be a text in quotes", n->key);
    if (strcmp(n->string, "pv") && strcmp(n->string, "linux") && strcmp(n->string, "generic"))
        return BAD(p, n, "%s = '%.16s' is not supported: only paravirtual guests (\"pv\")", n->key,
                   n->string);
    return 0;
}

/* What xl does with a domain that ended; here without a core. */
static int take_action(struct parse *p, struct xlcfg_node *n, enum vm_action *to)
{
    static const struct {
        const char *name;
        enum vm_action action;
        bool core;
    } actions[] = {
        { "destroy", VM_DESTROY, false },         { "restart", VM_RESTART, false },
        { "preserve", VM_PRESERVE, false },       { "coredump-destroy", VM_DESTROY, true },
        { "coredump-restart", VM_RESTART, true },
    };

    for (size_t i = 0; i < ARRAY_SIZE(actions) && n->type == XLCFG_STRING; i++) {
        if (strcmp(n->string, actions[i].name))
            continue;
        *to = actions[i].action;
        if (actions[i].core)
            no_effect(p, n->line, n->column, "%s: no core is dumped: see what the guest printed (sluice console -p)",
                      n->key);
        return 0;
    }
    if (n->type == XLCFG_STRING && !strcmp(n->string, "rename-restart"))
        return BAD(p, n, "%s = \"rename-restart\" is not supported: \"preserve\" keeps it, \"restart\" starts it anew", n->key);
    return BAD(p, n, "%s must be \"destroy\", \"restart\" or \"preserve\"", n->key);
}

static int apply_on_poweroff(struct parse *p, struct xlcfg_node *n)
{
    return take_action(p, n, &p->cfg->on_poweroff);
}

static int apply_on_reboot(struct parse *p, struct xlcfg_node *n)
{
    return take_action(p, n, &p->cfg->on_reboot);
}

static int apply_on_crash(struct parse *p, struct xlcfg_node *n)
{
    return take_action(p, n, &p->cfg->on_crash);
}

static int apply_on_watchdog(struct parse *p, struct xlcfg_node *n)
{
    return take_action(p, n, &p->cfg->on_watchdog);
}

/* ------------------------------------------------------------------ the keys */

static const struct {
    const char *name;
    apply_fn apply;
} keys[] = {
    { "name", apply_name },
    { "type", apply_type },
    { "builder", apply_type },
    { "kernel", apply_kernel },
    { "ramdisk", apply_ramdisk },
    { "cmdline", apply_cmdline },
    { "root", apply_root },
    { "extra", apply_extra },
    { "memory", apply_memory },
    { "maxmem", apply_maxmem },
    { "vcpus", apply_vcpus },
    { "maxvcpus", apply_maxvcpus },
    { "cpu_weight", apply_weight },
    { "cap", apply_cap },
    { "cpus", apply_cpus },
    { "cpus_soft", apply_cpus_soft },
    { "uuid", apply_uuid },
    { "vif", apply_vif },
    { "disk", apply_disk },
    { "on_poweroff", apply_on_poweroff },
    { "on_reboot", apply_on_reboot },
    { "on_crash", apply_on_crash },
    { "on_watchdog", apply_on_watchdog },
};

bool vm_config_applies(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(key, keys[i].name))
            return true;
    return false;
}

static int apply_one(struct parse *p, struct xlcfg_node *n)
{
    const struct xlkey *k;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (!strcmp(n->key, keys[i].name))
            return keys[i].apply(p, n);
    k = xlkey_find(n->key);
    if (!k)
        return BAD_AT(p, n->key_line, n->key_column, "unknown key '%.32s'", n->key);
    if (k->kind == XLKEY_REFUSED)
        return BAD_AT(p, n->key_line, n->key_column, "%s is not supported: %s", n->key, k->advice);
    no_effect(p, n->key_line, n->key_column, "%s has no effect here: %s", n->key, k->advice);
    return 0;
}

static void found_nothing(struct parse *p, const struct vm_config_finding *f)
{
}

/* A specification that stands alone, outside of a file. */
static bool stop(struct parse *p)
{
    return false;
}

static int parse_one(const char *spec, int (*one)(struct parse *p, struct xlcfg_node *e, void *to),
                     void *to, char *why)
{
    struct xlcfg_node e = { .type = XLCFG_STRING, .string = spec };
    struct parse p = { .found = found_nothing, .go_on = stop };
    int rc = one(&p, &e, to);

    return rc ? why_set(why, rc, "%s", p.why) : 0;
}

static int one_vif(struct parse *p, struct xlcfg_node *e, void *to)
{
    return apply_vif_one(p, e, to);
}

static int one_disk(struct parse *p, struct xlcfg_node *e, void *to)
{
    return apply_disk_one(p, e, to);
}

int vm_vif_parse(struct vm_vif *v, const char *spec, char *why)
{
    memset(v, 0, sizeof(*v));
    return parse_one(spec, one_vif, v, why);
}

int vm_disk_parse(struct vm_disk *d, const char *spec, char *why)
{
    memset(d, 0, sizeof(*d));
    return parse_one(spec, one_disk, d, why);
}

/* The name is part of URLs and of file names. */
int vm_name_check(const char *name, char *why)
{
    size_t n = 0;

    for (; name[n]; n++) {
        char c = name[n];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("-_.+", c)))
            return why_set(why, -XEN_EINVAL,
                           "name '%.32s' has a character other than letters, digits and -_.+", name);
    }
    if (!n)
        return why_set(why, -XEN_EINVAL, "name is empty");
    if (n >= VM_NAME_MAX)
        return why_set(why, -XEN_EINVAL, "name '%.32s...' is longer than %d characters", name,
                       VM_NAME_MAX - 1);
    return 0;
}

void vm_config_init(struct vm_config *c)
{
    memset(c, 0, sizeof(*c));
    c->memory_mib = 128;
    c->vcpus = 1;
    c->cpu_weight = 256;
    c->on_poweroff = VM_DESTROY;
    c->on_reboot = VM_RESTART;
    c->on_crash = VM_DESTROY;
    c->on_watchdog = VM_DESTROY;
}

int vm_config_check(const struct vm_config *c, char *why, size_t why_size)
{
    char line[WHY_MAX] = "";
    int rc = 0;

    if (!c->name[0])
        rc = why_set(line, -XEN_EINVAL, "a domain needs a name");
    else if (!c->kernel[0])
        rc = why_set(line, -XEN_EINVAL, "domain %s: kernel is not set", c->name);
    else if (c->memory_mib < 1)
        rc = why_set(line, -XEN_EINVAL, "domain %s: memory is 0", c->name);
    else if (c->maxmem_mib && c->maxmem_mib < c->memory_mib)
        rc = why_set(line, -XEN_EINVAL, "domain %s: maxmem %u is less than memory %u", c->name,
                     c->maxmem_mib, c->memory_mib);
    else if (c->vcpus < 1 || c->vcpus > VM_VCPUS || c->maxvcpus > VM_VCPUS)
        rc = why_set(line, -XEN_EINVAL, "domain %s: vcpus must be from 1 to %d", c->name, VM_VCPUS);
    else if (c->maxvcpus && c->maxvcpus < c->vcpus)
        rc = why_set(line, -XEN_EINVAL, "domain %s: maxvcpus %u is less than vcpus %u", c->name,
                     c->maxvcpus, c->vcpus);
    if (why_size)
        strlcpy(why, line, why_size);
    return rc;
}

/* cmdline= replaces root= and extra=, as with xl. */
static int join_cmdline(struct parse *p)
{
    struct vm_config *c = p->cfg;
    int n;

    if (p->has_cmdline)
        return 0;
    n = snprintf(c->cmdline, sizeof(c->cmdline), "%s%s%s%s", p->root[0] ? "root=" : "", p->root,
                 p->root[0] && p->extra[0] ? " " : "", p->extra);
    if ((size_t)n >= sizeof(c->cmdline))
        return BAD_AT(p, 0, 0, "root and extra together are longer than %d characters",
                      VM_CMDLINE_MAX - 1);
    return 0;
}

static int check_whole(struct parse *p)
{
    p->line = p->column = 0;
    return vm_config_check(p->cfg, p->why, sizeof(p->why));
}

/* Goes on after a refusal when told so. Returns the number of refusals. */
static unsigned int read_all(struct parse *p, const char *text, size_t len)
{
    static struct xlcfg tree;   /* 50 KiB; parsing never overlaps, there is one event loop */
    static int (*const last[])(struct parse *p) = { join_cmdline, check_whole };

    p->tree = &tree;
    vm_config_init(p->cfg);
    if (!xlcfg_parse(&tree, text, len)) {
        (void)BAD_AT(p, tree.error_line, tree.error_column, "%s", tree.error);
        (void)p->go_on(p);
        return 1;
    }
    for (struct xlcfg_node *n = tree.first; n; n = n->next) {
        if (apply_one(p, n) && !passed_over(p))
            return 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
        if (last[i](p) && !passed_over(p))
            return 1;
    }
    return p->refused;
}

/* ------------------------------------------------------------------ for a host: the first refusal */

struct one_line {
    const char *file;
    void (*warn)(void *arg, const char *line);
    void *arg;
};

static void warn_of(struct parse *p, const struct vm_config_finding *f)
{
    const struct one_line *l = p->arg;
    char line[WHY_MAX];

    snprintf(line, sizeof(line), "%s:%u:%u: %s", l->file, f->line, f->column, f->text);
    if (l->warn)
        l->warn(l->arg, line);
}

int vm_config_parse(struct vm_config *c, const char *file, const char *text, size_t len,
                    void (*warn)(void *arg, const char *line), void *warn_arg, char *why,
                    size_t why_size)
{
    struct one_line line = { file, warn, warn_arg };
    struct parse p = { .cfg = c, .found = warn_of, .go_on = stop, .arg = &line };

    if (why_size)
        why[0] = '\0';
    if (!read_all(&p, text, len))
        return 0;
    if (p.line)
        snprintf(why, why_size, "%s:%u:%u: %s", file, p.line, p.column, p.why);
    else
        snprintf(why, why_size, "%s: %s", file, p.why);
    return -XEN_EINVAL;
}

/* ------------------------------------------------------------------ for people: all of them */

struct review {
    void (*found)(void *arg, const struct vm_config_finding *f);
    void *arg;
};

static void tell(struct parse *p, const struct vm_config_finding *f)
{
    const struct review *r = p->arg;

    r->found(r->arg, f);
}

static bool tell_refusal(struct parse *p)
{
    tell(p, &(struct vm_config_finding){ .refused = true, .line = p->line, .column = p->column,
                                         .text = p->why });
    return true;
}

unsigned int vm_config_review(struct vm_config *c, const char *text, size_t len,
                              void (*found)(void *arg, const struct vm_config_finding *f),
                              void *arg)
{
    struct review review = { found, arg };
    struct parse p = { .cfg = c, .found = tell, .go_on = tell_refusal, .arg = &review };

    return read_all(&p, text, len);
}
