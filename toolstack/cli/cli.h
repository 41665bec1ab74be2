/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what every part of the command shares: exit statuses, the options that stand before or
 * behind any verb, and the verbs themselves.
 */
#ifndef CLI_H
#define CLI_H

#include "compiler.h"
#include "version.h"

/* Exit statuses; sluice(1) documents them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,         /* the host refused, or something here failed */
    CLI_USAGE = 2,          /* command line, sluice.conf or xl.cfg is wrong; nothing was asked */
    CLI_NOT_FOUND = 3,      /* no such domain, device or file */
    CLI_UNREACHABLE = 4,    /* no answer, or none that can be trusted: network or TLS */
    CLI_DENIED = 5,         /* no credential, a wrong one, or one that may not do this */
    CLI_NOT_OFFERED = 6,    /* the host does not know what was asked */
    CLI_NONSENSE = 7,       /* the host's answer made no sense */
};

struct cli {
    /* The command line. */
    const char *host;       /* -H: a name in sluice.conf or a URL; NULL = the default */
    const char *config;     /* --config; NULL = the usual places */
    const char *ca, *cert, *key, *token_file;
    unsigned int timeout;   /* seconds that a host may be silent; 0 = the default */
    bool insecure, json, quiet;
    /* The terminal. */
    bool out_tty, err_tty, color, utf8;
    unsigned int width;     /* columns of standard output; 0 = no terminal, no limit */
    struct host *conn;      /* opened by host_open() with the first request */
};

/* A verb: argv[0] is its name, the global options are gone. Returns an exit status. */
typedef int (*cli_verb)(struct cli *c, int argc, char **argv);

/* The verb that *name stands for, also by an abbreviation that fits only one, and its whole name;
 * NULL after a complaint. */
cli_verb verb_find(struct cli *c, char **name);
/* Complains that the verb was used wrongly and shows how it is used; returns CLI_USAGE. */
int verb_usage(struct cli *c, const char *name);
int verb_help(struct cli *c, int argc, char **argv);

int verb_list(struct cli *c, int argc, char **argv);
int verb_domid(struct cli *c, int argc, char **argv);
int verb_domname(struct cli *c, int argc, char **argv);
int verb_uptime(struct cli *c, int argc, char **argv);
int verb_create(struct cli *c, int argc, char **argv);
int verb_console(struct cli *c, int argc, char **argv);
int verb_shutdown(struct cli *c, int argc, char **argv);
int verb_reboot(struct cli *c, int argc, char **argv);
int verb_destroy(struct cli *c, int argc, char **argv);
int verb_pause(struct cli *c, int argc, char **argv);
int verb_unpause(struct cli *c, int argc, char **argv);
int verb_suspend(struct cli *c, int argc, char **argv);
int verb_resume(struct cli *c, int argc, char **argv);
int verb_rename(struct cli *c, int argc, char **argv);
int verb_vcpu_list(struct cli *c, int argc, char **argv);
int verb_vcpu_set(struct cli *c, int argc, char **argv);
int verb_vcpu_pin(struct cli *c, int argc, char **argv);
int verb_mem_set(struct cli *c, int argc, char **argv);
int verb_mem_max(struct cli *c, int argc, char **argv);
int verb_sched_credit(struct cli *c, int argc, char **argv);
int verb_network_list(struct cli *c, int argc, char **argv);
int verb_network_attach(struct cli *c, int argc, char **argv);
int verb_network_detach(struct cli *c, int argc, char **argv);
int verb_block_list(struct cli *c, int argc, char **argv);
int verb_block_attach(struct cli *c, int argc, char **argv);
int verb_block_detach(struct cli *c, int argc, char **argv);
int verb_info(struct cli *c, int argc, char **argv);
int verb_dmesg(struct cli *c, int argc, char **argv);
int verb_log(struct cli *c, int argc, char **argv);
int verb_events(struct cli *c, int argc, char **argv);
int verb_top(struct cli *c, int argc, char **argv);
int verb_files(struct cli *c, int argc, char **argv);
int verb_upload(struct cli *c, int argc, char **argv);
int verb_fetch(struct cli *c, int argc, char **argv);
int verb_config(struct cli *c, int argc, char **argv);
int verb_hosts(struct cli *c, int argc, char **argv);
int verb_version(struct cli *c, int argc, char **argv);
int verb_complete(struct cli *c, int argc, char **argv);    /* for bash: prints candidates */

#endif
