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
#include "lib/why.h"
#include "lib/xlcfg.h"
#include "lib/xlkeys.h"
#include "xenabi.h"

struct parse {
    struct vm_config *cfg;
    struct xlcfg *tree;
    /* The refusal found last: where (0 = the whole file) and what. */
    unsigned int line, column;
    char why[WHY_MAX];
    bool (*go_on)(struct parse *p);     /* after a refusal: with what follows it? */
    unsigned int refused;
    /* For what has no effect, and in a review for refusals too. */
    void (*found)(struct parse *p, const struct vm_config_finding *f);
    void *arg;
    char root[256], extra[VM_CMDLINE_MAX];
    bool has_cmdline;
};

#define BAD_AT(p, l, c, fmt, ...) \
    ((p)->line = (l), (p)->column = (c), why_set((p)->why, -XEN_EINVAL, fmt, ##__VA_ARGS__))
#define BAD(p, n, fmt, ...) BAD_AT(p, (n)->line, (n)->column, fmt, ##__VA_ARGS__)

typedef int (*apply_fn)(struct parse *p, struct xlcfg_node *n);

/* Something was refused: does reading go on behind it? */
static bool passed_over(struct parse *p)
{
    if (!p->go_on(p))
        return false;
    p->refused++;
    return true;
}

/* Tells that something has no effect, and goes on. */
static void __printf(4, 5) no_effect(struct parse *p, unsigned int line, unsigned int column,
                                     const char *fmt, ...)
{
    char text[WHY_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    p->found(p, &(struct vm_config_finding){ .line = line, .column = column, .text = text });
}

/* ------------------------------------------------------------------ words */

/* A piece of a comma- or blank-separated specification. */
struct word {
    const char *s;
    size_t len;
};

static struct word next_word(const char **rest, const char *separators)
{
    const char *s = *rest;
    size_t n = 0;
    struct word w;

    while (s[n] && !strchr(separators, s[n]))
        n++;
    *rest = s[n] ? s + n + 1 : s + n;
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
        n--;
    w = (struct word){ s, n };
    return w;
}

static bool word_is(struct word w, const char *s)
{
    return w.len == strlen(s) && !memcmp(w.s, s, w.len);
}

/* Splits "key=value"; false when there is no '='. */
static bool word_split(struct word w, struct word *key, struct word *value)
{
    const char *eq = memchr(w.s, '=', w.len);

    if (!eq)
        return false;
    *key = (struct word){ w.s, (size_t)(eq - w.s) };
    *value = (struct word){ eq + 1, w.len - (size_t)(eq - w.s) - 1 };
    return true;
}

static bool word_copy(struct word w, char *to, size_t size)
{
    if (w.len >= size)
        return false;
    memcpy(to, w.s, w.len);
    to[w.len] = '\0';
    return true;
}

/* Decimal digits only, at least one; what follows them stays in *w. */
static bool word_number(struct word *w, uint64_t max, uint64_t *v)
{
    size_t i = 0;

    *v = 0;
    for (; i < w->len && w->s[i] >= '0' && w->s[i] <= '9'; i++) {
        *v = *v * 10 + (uint64_t)(w->s[i] - '0');
        if (*v > max)
            return false;
    }
    w->s += i;
    w->len -= i;
    return i > 0;
}

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
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

static int take_action(struct parse *p, struct xlcfg_node *n, enum vm_action *to)
{
    if (n->type == XLCFG_STRING && !strcmp(n->string, "destroy"))
        *to = VM_DESTROY;
    else if (n->type == XLCFG_STRING && !strcmp(n->string, "restart"))
        *to = VM_RESTART;
    else if (n->type == XLCFG_STRING && !strcmp(n->string, "preserve"))
        *to = VM_PRESERVE;
    else
        return BAD(p, n, "%s must be \"destroy\", \"restart\" or \"preserve\"", n->key);
    return 0;
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

/* ------------------------------------------------------------------ vif */

static bool parse_mac(struct word w, uint8_t mac[6])
{
    const char *s = w.s, *end = w.s + w.len;

    for (int i = 0; i < 6; i++) {
        int digits = 0, v = 0;

        for (; s < end && digits < 2 && hex_digit(*s) >= 0; s++, digits++)
            v = v * 16 + hex_digit(*s);
        if (!digits || (i < 5 ? s == end || *s++ != ':' : s != end))
            return false;
        mac[i] = (uint8_t)v;
    }
    return true;
}

static bool parse_ipv4(struct word w, uint32_t *ip)
{
    *ip = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t v;

        if (!word_number(&w, 255, &v))
            return false;
        *ip = *ip << 8 | (uint32_t)v;
        if (i < 3) {
            if (!w.len || *w.s != '.')
                return false;
            w.s++;
            w.len--;
        }
    }
    return w.len == 0;
}

static int vif_ips(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_vif *v)
{
    char text[128];
    const char *rest = text;

    if (!word_copy(w, text, sizeof(text)))
        return BAD(p, n, "vif: ip= is too long");
    while (*rest) {
        struct word one = next_word(&rest, " ");

        if (!one.len)
            continue;
        if (memchr(one.s, ':', one.len))
            return BAD(p, n, "vif: ip=%.*s: only IPv4 addresses can be filtered", (int)one.len,
                       one.s);
        if (v->nr_ips == VM_VIF_IPS)
            return BAD(p, n, "vif: more than %d addresses in ip=", VM_VIF_IPS);
        if (!parse_ipv4(one, &v->ip[v->nr_ips]))
            return BAD(p, n, "vif: '%.*s' is no IPv4 address", (int)one.len, one.s);
        v->nr_ips++;
    }
    return 0;
}

static uint64_t multiplier(struct word *w)
{
    uint64_t m = 1;

    if (w->len && strchr("GMKgmk", *w->s)) {
        m = *w->s == 'K' || *w->s == 'k' ? 1000 : *w->s == 'M' || *w->s == 'm' ? 1000000 : 1000000000;
        w->s++;
        w->len--;
    }
    return m;
}

/* "10Mb/s", "250KB/s", "1MB/s@20ms": as xl-network-configuration(5). */
static bool parse_rate(struct word w, struct vm_vif *v)
{
    struct word when = { w.s + w.len, 0 };
    const char *at = memchr(w.s, '@', w.len);
    uint64_t number;
    bool bits;

    if (at) {
        when = (struct word){ at + 1, w.len - (size_t)(at - w.s) - 1 };
        w.len = (size_t)(at - w.s);
    }
    if (!word_number(&w, 1000000000, &number) || !number)
        return false;
    number *= multiplier(&w);
    if (!w.len || (*w.s != 'b' && *w.s != 'B'))
        return false;
    bits = *w.s == 'b';
    w.s++;
    w.len--;
    if (!word_is(w, "/s"))
        return false;
    v->rate = bits ? number / 8 : number;
    if (at) {
        uint64_t t;

        if (!word_number(&when, 4000000, &t) || !t)
            return false;
        if (word_is(when, "s"))
            t *= 1000000;
        else if (word_is(when, "ms"))
            t *= 1000;
        else if (!word_is(when, "us"))
            return false;
        if (t > 4000000)
            return false;
        v->rate_interval_us = (uint32_t)t;
    }
    return v->rate > 0;
}

/* Keys of vif=[ ] that choose between kinds of interface, or hooks, that a host of ours has not. */
static const struct { const char *name; bool refused; const char *advice; } vif_keys[] = {
    { "type", false, "delete it" },
    { "vifname", false, "delete it" },
    { "script", false, "no script runs when an interface comes up; delete it" },
    { "devid", false, "interfaces are numbered in the order of the list; delete it" },
    { "trusted", false, "delete it" },
    { "mtu", false, "the bridge's is 1500; set a smaller one inside the guest" },
    { "gatewaydev", true, "interfaces are bridged, not routed; delete it" },
    { "backend", true, "there are no driver domains; delete it" },
};

static int vif_other(struct parse *p, struct xlcfg_node *n, struct word key)
{
    for (size_t i = 0; i < ARRAY_SIZE(vif_keys); i++) {
        if (!word_is(key, vif_keys[i].name))
            continue;
        if (vif_keys[i].refused)
            return BAD(p, n, "vif: %s= is not supported: %s", vif_keys[i].name, vif_keys[i].advice);
        no_effect(p, n->line, n->column, "vif: %s= has no effect here: %s", vif_keys[i].name,
                  vif_keys[i].advice);
        return 0;
    }
    return BAD(p, n, "vif: unknown key '%.*s'", (int)key.len, key.s);
}

static int vif_option(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_vif *v)
{
    struct word key, value;

    if (!word_split(w, &key, &value))
        return BAD(p, n, "vif: expected key=value, not '%.*s'", (int)w.len, w.s);
    if (word_is(key, "mac")) {
        if (!parse_mac(value, v->mac))
            return BAD(p, n, "vif: '%.*s' is no MAC address", (int)value.len, value.s);
        if (v->mac[0] & 1)
            return BAD(p, n, "vif: mac=%.*s is a multicast address", (int)value.len, value.s);
        return 0;
    }
    if (word_is(key, "bridge"))
        return word_copy(value, v->bridge, sizeof(v->bridge))
                   ? 0 : BAD(p, n, "vif: the bridge's name is too long");
    if (word_is(key, "ip"))
        return vif_ips(p, n, value, v);
    if (word_is(key, "rate"))
        return parse_rate(value, v)
                   ? 0 : BAD(p, n, "vif: rate=%.*s: expected for example 10Mb/s or 1MB/s@20ms",
                             (int)value.len, value.s);
    if (word_is(key, "model"))
        return word_copy(value, v->model, sizeof(v->model)) ? 0
                   : BAD(p, n, "vif: the model's name is too long");
    return vif_other(p, n, key);
}

static int apply_vif_one(struct parse *p, struct xlcfg_node *e, struct vm_vif *v)
{
    const char *rest = e->string;

    while (*rest) {
        struct word w = next_word(&rest, ",");
        int rc = w.len ? vif_option(p, e, w, v) : 0;

        if (rc && !passed_over(p))
            return rc;
    }
    return 0;
}

static int apply_vif_element(struct parse *p, struct xlcfg_node *e)
{
    int rc;

    if (e->type != XLCFG_STRING)
        return BAD(p, e, "vif: each interface is a text in quotes");
    if (p->cfg->nr_vifs == VM_VIFS)
        return BAD(p, e, "more than %d interfaces", VM_VIFS);
    memset(&p->cfg->vif[p->cfg->nr_vifs], 0, sizeof(p->cfg->vif[0]));
    rc = apply_vif_one(p, e, &p->cfg->vif[p->cfg->nr_vifs]);
    p->cfg->nr_vifs += !rc;
    return rc;
}

/* Each element of a list; a review goes on behind those that are refused. */
static int apply_list(struct parse *p, struct xlcfg_node *n, apply_fn one)
{
    for (struct xlcfg_node *e = n->child; e; e = e->next) {
        int rc = one(p, e);

        if (rc && !passed_over(p))
            return rc;
    }
    return 0;
}

static int apply_vif(struct parse *p, struct xlcfg_node *n)
{
    if (n->type != XLCFG_LIST)
        return BAD(p, n, "vif must be a list: vif = [ \"mac=...\" ]");
    return apply_list(p, n, apply_vif_element);
}

/* ------------------------------------------------------------------ disk */

/* Number of a virtual disk as in Xen's vbd-interface(7): xvda = 51712, hda = 768, sda = 2048. */
static bool parse_vdev(const char *s, uint32_t *device)
{
    uint32_t disk = 0, part = 0;
    size_t i = 0;
    char kind = 0;

    if (!strncmp(s, "xvd", 3))
        kind = 'x';
    else if (!strncmp(s, "hd", 2))
        kind = 'h';
    else if (!strncmp(s, "sd", 2))
        kind = 's';
    else
        return false;
    s += kind == 'x' ? 3 : 2;
    for (; s[i] >= 'a' && s[i] <= 'z' && i < 2; i++)
        disk = (disk + (i ? 1 : 0)) * 26 + (uint32_t)(s[i] - 'a');
    if (!i)
        return false;
    for (s += i, i = 0; s[i] >= '0' && s[i] <= '9' && i < 2; i++)
        part = part * 10 + (uint32_t)(s[i] - '0');
    if (s[i])
        return false;
    if (kind == 'x' && disk < 16 && part < 16)
        *device = 202 << 8 | disk << 4 | part;
    else if (kind == 'x')
        *device = 1u << 28 | disk << 8 | part;
    else if (kind == 's' && disk < 16 && part < 16)
        *device = 8 << 8 | disk << 4 | part;
    else if (kind == 'h' && disk < 4 && part < 64)
        *device = (disk < 2 ? 3u << 8 : 22u << 8) | (disk & 1) << 6 | part;
    else
        return false;
    return true;
}

static int disk_access(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    if (word_is(w, "r") || word_is(w, "ro"))
        d->readonly = true;
    else if (word_is(w, "w!") || word_is(w, "rw!"))
        d->shared = true;
    else if (!word_is(w, "w") && !word_is(w, "rw"))
        return BAD(p, n, "disk: access is r, w or w!, not '%.*s'", (int)w.len, w.s);
    return 0;
}

static int disk_field(struct parse *p, struct xlcfg_node *n, unsigned int field, struct word w,
                      struct vm_disk *d)
{
    switch (field) {
    case 0:
        return word_copy(w, d->target, sizeof(d->target)) ? 0 : BAD(p, n, "disk: target too long");
    case 1:
        return !w.len || word_is(w, "raw") ? 0
                   : BAD(p, n, "disk: format '%.*s' is not supported, only raw", (int)w.len, w.s);
    case 2:
        return word_copy(w, d->vdev, sizeof(d->vdev)) ? 0 : BAD(p, n, "disk: vdev too long");
    case 3:
        return disk_access(p, n, w, d);
    }
    return BAD(p, n, "disk: too many fields; see xl-disk-configuration(5)");
}

static int disk_iops(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    uint64_t v;

    if (!word_number(&w, 10000000, &v) || w.len)
        return BAD(p, n, "disk: iops is a number of requests a second, up to 10000000");
    d->iops = (uint32_t)v;
    return 0;
}

static int disk_bps(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    struct vm_vif rate = { .rate = 0 };

    if (memchr(w.s, '@', w.len) || !parse_rate(w, &rate))
        return BAD(p, n, "disk: bps is a rate such as 20MB/s, not '%.*s'", (int)w.len, w.s);
    d->bps = rate.rate;
    return 0;
}

/* Words that stand alone; 1: this is none of them. */
static int disk_word(struct parse *p, struct xlcfg_node *n, struct word w, struct vm_disk *d)
{
    if (word_is(w, "cdrom"))
        d->cdrom = d->readonly = true;
    else if (word_is(w, "no-discard"))
        d->no_discard = true;
    else if (!word_is(w, "discard") && !word_is(w, "direct-io-safe"))
        return 1;
    return 0;
}

static int disk_option(struct parse *p, struct xlcfg_node *n, struct word key, struct word value,
                       struct vm_disk *d)
{
    if (word_is(key, "target"))
        return disk_field(p, n, 0, value, d);
    if (word_is(key, "format"))
        return disk_field(p, n, 1, value, d);
    if (word_is(key, "vdev"))
        return disk_field(p, n, 2, value, d);
    if (word_is(key, "access"))
        return disk_field(p, n, 3, value, d);
    if (word_is(key, "devtype") && (word_is(value, "disk") || word_is(value, "cdrom")))
        return word_is(value, "disk") ? 0 : disk_word(p, n, value, d);
    if (word_is(key, "iops"))
        return disk_iops(p, n, value, d);
    if (word_is(key, "bps"))
        return disk_bps(p, n, value, d);
    if (word_is(key, "script"))
        return BAD(p, n, "disk: script= is not supported: no script makes disks; name the disk "
                         "itself (nbd:HOST:PORT:EXPORT, a file of the host, phy:/dev/DISK)");
    if (word_is(key, "backend"))
        return BAD(p, n, "disk: backend= is not supported: there are no driver domains; delete it");
    if (word_is(key, "backendtype"))
        return BAD(p, n, "disk: backendtype= is not supported: there is one kind; delete it");
    return BAD(p, n, "disk: key '%.*s' is not supported", (int)key.len, key.s);
}

/* The old way of writing it, "phy:/dev/vda,xvda,w", has no format between target and vdev. */
static bool skips_format(const struct vm_disk *d, struct word w)
{
    return (strncmp(d->target, "phy:", 4) == 0 || strncmp(d->target, "file:", 5) == 0 ||
            strncmp(d->target, "nbd:", 4) == 0) && w.len && !word_is(w, "raw");
}

static int apply_disk_one(struct parse *p, struct xlcfg_node *e, struct vm_disk *d)
{
    static const char *const options[] = { "target", "format", "vdev", "access", "backendtype",
                                           "script", "devtype", "backend", "iops", "bps" };
    const char *rest = e->string;
    unsigned int field = 0, refused = p->refused;

    while (*rest) {
        const char *here = rest;
        struct word w = next_word(&rest, ","), key, value;
        bool option = false;
        int rc;

        if (word_split(w, &key, &value))
            for (size_t i = 0; i < ARRAY_SIZE(options); i++)
                option |= word_is(key, options[i]);
        if (option) {
            /* target= takes everything up to the end, commas included; but if that would leave the
             * disk without a vdev, other keys follow. */
            if (word_is(key, "target") && d->vdev[0]) {
                const char *eq = strchr(here, '=');
                value = (struct word){ eq + 1, strlen(eq + 1) };
                rest = here + strlen(here);
            }
            rc = disk_option(p, e, key, value, d);
        } else if ((rc = disk_word(p, e, w, d)) != 0) {
            field += field == 1 && skips_format(d, w);
            rc = disk_field(p, e, field++, w, d);
        }
        if (rc && !passed_over(p))
            return rc;
    }
    if (p->refused != refused)
        return 0;               /* what is missing may be what was refused */
    if (!d->target[0])
        return BAD(p, e, "disk: no target given");
    if (!parse_vdev(d->vdev, &d->device))
        return BAD(p, e, "disk: '%s' is no virtual disk such as xvda, hda or sda1", d->vdev);
    return 0;
}

static int apply_disk_element(struct parse *p, struct xlcfg_node *e)
{
    unsigned int refused = p->refused;
    struct vm_disk *d;
    int rc;

    if (e->type != XLCFG_STRING)
        return BAD(p, e, "disk: each disk is a text in quotes");
    if (p->cfg->nr_disks == VM_DISKS)
        return BAD(p, e, "more than %d disks", VM_DISKS);
    d = &p->cfg->disk[p->cfg->nr_disks];
    memset(d, 0, sizeof(*d));       /* a review may have left one here that it passed over */
    rc = apply_disk_one(p, e, d);
    if (rc || p->refused != refused)
        return rc;
    for (uint32_t i = 0; i < p->cfg->nr_disks; i++)
        if (p->cfg->disk[i].device == d->device)
            return BAD(p, e, "disk: two disks are called %s", d->vdev);
    p->cfg->nr_disks++;
    return 0;
}

static int apply_disk(struct parse *p, struct xlcfg_node *n)
{
    if (n->type != XLCFG_LIST)
        return BAD(p, n, "disk must be a list: disk = [ \"target,raw,xvda,w\" ]");
    return apply_list(p, n, apply_disk_element);
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
    { "uuid", apply_uuid },
    { "vif", apply_vif },
    { "disk", apply_disk },
    { "on_poweroff", apply_on_poweroff },
    { "on_reboot", apply_on_reboot },
    { "on_crash", apply_on_crash },
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
