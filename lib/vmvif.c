/* SPDX-License-Identifier: MIT */
/* vmvif.c - the key vif of an xl.cfg: addresses, bridge, rate. Pure. */
#include "lib/string.h"
#include "lib/vmparse.h"

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

/* "10Mb/s", "1MB/s@20ms": as xl-network-configuration(5). */
static bool parse_rate(struct word w, struct vm_vif *v)
{
    const char *at = memchr(w.s, '@', w.len);
    struct word when;
    uint64_t t;

    if (!at)
        return word_rate(w, &v->rate);
    when = (struct word){ at + 1, w.len - (size_t)(at - w.s) - 1 };
    w.len = (size_t)(at - w.s);
    if (!word_rate(w, &v->rate) || !word_number(&when, 4000000, &t) || !t)
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
    return true;
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

int apply_vif_one(struct parse *p, struct xlcfg_node *e, struct vm_vif *v)
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

int apply_vif(struct parse *p, struct xlcfg_node *n)
{
    if (n->type != XLCFG_LIST)
        return BAD(p, n, "vif must be a list: vif = [ \"mac=...\" ]");
    return apply_list(p, n, apply_vif_element);
}
