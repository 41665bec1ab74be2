/* SPDX-License-Identifier: MIT */
/*
 * api.c - how the API is reached: HTTPS with the certificate, key and credentials that came as boot
 * modules, or what is missing for that; plain HTTP only with api=insecure.
 */
#include "dom0/host.h"
#include "lib/string.h"
#include "lib/why.h"
#include "runtime/log.h"
#include "runtime/start.h"
#include "toolstack/http/routes.h"
#include "toolstack/net/net.h"
#include "toolstack/net/tls.h"
#include "toolstack/vm/file.h"

static struct tls_text module_text(const char *name)
{
    const struct boot_module *m = boot_module_find(name);

    return m ? (struct tls_text){ m->data, m->size } : (struct tls_text){ NULL, 0 };
}

/* No domain may be given these as its kernel or ramdisk, and the key is not kept in two places. */
static void hide(const char *name)
{
    const struct boot_module *m = boot_module_find(name);
    struct file *f = m ? file_find(name) : NULL;

    if (f)
        file_remove(f);
    if (m && strcmp(name, "api.key") == 0)
        memset((void *)(uintptr_t)m->data, 0, m->size);
}

static int start_secure(struct stream_net *net, char *why)
{
    static struct auth_tokens tokens;
    struct tls_text crt = module_text("api.crt"), key = module_text("api.key");
    struct tls_text ca = module_text("api.ca"), list = module_text("api.tokens");
    int rc;

    if (!crt.len || !key.len || (!ca.len && !list.len))
        return why_set(why, -XEN_ENOENT, "no boot module %s",
                       !crt.len ? "api.crt" : !key.len ? "api.key" : "api.tokens or api.ca");
    rc = auth_parse_tokens(&tokens, list.text, list.len, why);
    if (!rc)
        rc = tls_server_init(crt, key, ca, why);
    if (rc)
        return rc;
    rc = api_start(tls_streams(net), (uint16_t)cmdline_get_u64("api_port", 443), &tokens, net);
    if (rc)
        return why_set(why, rc, "cannot listen (error %d)", -rc);
    log_info("API: HTTPS, %u token%s%s", tokens.n, tokens.n == 1 ? "" : "s",
             ca.len ? ", client certificates" : "");
    return 0;
}

static int start_insecure(struct stream_net *net, char *why)
{
    int rc = api_start(net, (uint16_t)cmdline_get_u64("api_port", 80), NULL, net);

    if (rc)
        return why_set(why, rc, "cannot listen (error %d)", -rc);
    log_warn("API: api=insecure: whoever reaches this host may do everything");
    return 0;
}

void api_bring_up(void)
{
    char mode[16], why[WHY_MAX];
    int rc;

    if (!cmdline_get("api", mode, sizeof(mode)))
        rc = start_secure(net_streams(), why);
    else if (strcmp(mode, "insecure") == 0)
        rc = start_insecure(net_streams(), why);
    else
        rc = why_set(why, -XEN_EINVAL, "command line: api=%s: only \"insecure\" is known", mode);
    if (rc == -XEN_ENOENT)
        log_info("API: none: %s", why);
    else if (rc)
        log_error("API: none: %s", why);
}

void api_hide_credentials(void)
{
    static const char *const names[] = { "api.crt", "api.key", "api.ca", "api.tokens" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        hide(names[i]);
}
