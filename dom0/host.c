/* SPDX-License-Identifier: MIT */
/* host.c - reads host.cfg and starts the domains that it lists. */
#include "dom0/host.h"
#include "lib/why.h"
#include "lib/xlcfg.h"
#include "runtime/log.h"
#include "toolstack/vm/file.h"
#include "toolstack/vm/vm.h"

static void warn(void *arg, const char *line)
{
    log_warn("%s", line);
}

static void start(const char *name)
{
    static struct vm_config cfg;        /* large; creation copies it */
    struct file *f = file_find(name);
    char why[WHY_MAX];

    if (!f) {
        log_error("host.cfg: autostart: no boot module \"%s\"", name);
        return;
    }
    if (vm_config_parse(&cfg, f->name, f->data, f->size, warn, NULL, why, sizeof(why)))
        log_error("%s", why);
    else
        (void)vm_create(&cfg, false, NULL, NULL, NULL, why);    /* logs what is wrong */
}

static void autostart(struct xlcfg_node *n)
{
    if (n->type != XLCFG_LIST) {
        log_error("host.cfg:%u:%u: autostart must be a list", n->line, n->column);
        return;
    }
    for (struct xlcfg_node *e = n->child; e; e = e->next) {
        if (e->type == XLCFG_STRING)
            start(e->string);
        else
            log_error("host.cfg:%u:%u: autostart: a file name in quotes is needed", e->line,
                      e->column);
    }
}

void host_start(void)
{
    static struct xlcfg tree;
    struct file *f = file_find("host.cfg");
    struct xlcfg_node *list;

    if (!f) {
        log_info("dom0: no host.cfg: no domain is started");
        return;
    }
    if (!xlcfg_parse(&tree, f->data, f->size)) {
        log_error("host.cfg:%u:%u: %s", tree.error_line, tree.error_column, tree.error);
        return;
    }
    list = xlcfg_get(&tree, "autostart");
    for (struct xlcfg_node *n = tree.first; n; n = n->next)
        if (!n->used)
            log_error("host.cfg:%u:%u: unknown key '%s'", n->key_line, n->key_column, n->key);
    if (list)
        autostart(list);
}
