/* SPDX-License-Identifier: MIT */
/* vmparse.h - what the files that read a domain's configuration share: vmconfig.c, vmvif.c, vmdisk.c. */
#ifndef LIB_VMPARSE_H
#define LIB_VMPARSE_H

#include "lib/vmconfig.h"
#include "lib/why.h"
#include "lib/words.h"
#include "lib/xlcfg.h"
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
bool passed_over(struct parse *p);
/* Tells that something has no effect, and goes on. */
void __printf(4, 5) no_effect(struct parse *p, unsigned int line, unsigned int column,
                              const char *fmt, ...);
/* Each element of a list; a review goes on behind those that are refused. */
int apply_list(struct parse *p, struct xlcfg_node *n, apply_fn one);

/* Whole keys. */
int apply_cpus(struct parse *p, struct xlcfg_node *n);
int apply_cpus_soft(struct parse *p, struct xlcfg_node *n);
int apply_vif(struct parse *p, struct xlcfg_node *n);
int apply_disk(struct parse *p, struct xlcfg_node *n);
/* One text e of theirs, into a struct that is all 0. */
int apply_vif_one(struct parse *p, struct xlcfg_node *e, struct vm_vif *v);
int apply_disk_one(struct parse *p, struct xlcfg_node *e, struct vm_disk *d);

#endif
