/* SPDX-License-Identifier: MIT */
/* verbs.c - the table of verbs: names, usage, help, abbreviations; xl's verbs that are not here. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/image.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

static const struct verb {
    const char *name;
    cli_verb run;
    const char *usage;          /* what follows the name */
    const char *help;           /* one line */
    const char *more;           /* options, a line each; NULL = none */
    /* Its arguments, a letter each: d domains, f files of this machine, h the host's files, v verbs; of the domain before
     * it: c vCPUs, m interfaces, b disks. + is any number of the one before. */
    const char *completes;
} verbs[] = {
    { "create", verb_create, "[OPTIONS] [FILE] [KEY=VALUE ...]", "create a domain from an xl.cfg",
      "-p            leave it paused\n"
      "-c            connect to its console\n"
      "-n            only check, and say what would be uploaded\n"
      "-d            print the configuration that is sent\n"
      "-f FILE       the configuration, as FILE by itself\n"
      "--no-check    let the host decide about keys that this command refuses", "f" },
    { "list", verb_list, "[-l] [-v] [DOMAIN ...]", "domains, their memory, state and CPU time",
      "-l            everything, as JSON\n-v            UUID and reason of the end too", "d+" },
    { "info", verb_info, "", "the host: CPUs, memory, uptime", NULL, "" },
    { "console", verb_console, "[-o] [-p] DOMAIN", "a domain's console; Ctrl-] leaves",
      "-o            output only, until the domain ends\n-p            print what is kept of it, and leave", "d" },
    { "shutdown", verb_shutdown, "[-w] -a | DOMAIN", "ask a domain to shut down",
      "-a            all domains\n-w            wait until it has", "d" },
    { "reboot", verb_reboot, "[-w] -a | DOMAIN", "ask a domain to reboot",
      "-a            all domains\n-w            wait until it runs anew", "d" },
    { "destroy", verb_destroy, "DOMAIN", "end a domain at once", NULL, "d" },
    { "pause", verb_pause, "DOMAIN", "stop a domain's vCPUs", NULL, "d" },
    { "unpause", verb_unpause, "DOMAIN", "let them run on", NULL, "d" },
    { "suspend", verb_suspend, "[-t SECONDS] DOMAIN", "let a domain suspend itself, where it is",
      "-t SECONDS    that its kernel has for it, 60 by default", "d" },
    { "resume", verb_resume, "DOMAIN", "let a suspended domain go on", NULL, "d" },
    { "rename", verb_rename, "DOMAIN NEW-NAME", "give a domain another name", NULL, "d" },
    { "vcpu-list", verb_vcpu_list, "[DOMAIN ...]", "vCPUs, where they run and how long they ran", NULL, "d+" },
    { "vcpu-pin", verb_vcpu_pin, "DOMAIN VCPU|all CPUS|all|- [SOFT|all|-]", "tie vCPUs to CPUs: 0-3, 0-3,^1, 2,5",
      "VCPU          its number as vcpu-list shows it, or all\n"
      "CPUS          those it may run on; all = any, - = as it is\n"
      "SOFT          those of CPUS that it would rather run on", "dc" },
    { "vcpu-set", verb_vcpu_set, "DOMAIN NUMBER", "how many vCPUs are online",
      "The guest takes them on and off line, up to maxvcpus= of its xl.cfg.", "d" },
    { "mem-set", verb_mem_set, "DOMAIN AMOUNT", "memory a domain should have: 512 (MiB), 2g, 1048576k",
      "Its balloon driver follows, up to maxmem= of its xl.cfg; sluice list shows it.", "d" },
    { "mem-max", verb_mem_max, "DOMAIN AMOUNT", "the most that mem-set may give it", NULL, "d" },
    { "sched-credit", verb_sched_credit, "[-d DOMAIN [-w WEIGHT] [-c CAP]]", "show or change weights and caps",
      "-d DOMAIN     whose\n-w WEIGHT     its share against others, 256 is usual\n"
      "-c CAP        per cent of one CPU at most, 0 = no cap", "d" },
    { "network-list", verb_network_list, "DOMAIN", "a domain's interfaces and their counters", NULL, "d" },
    { "network-attach", verb_network_attach, "DOMAIN [KEY=VALUE ...]", "add an interface: mac= bridge= ip= rate=",
      "mac=ADDRESS   chosen by the host when left out\nbridge=NAME   the host's only one when left out\n"
      "ip=ADDRESSES  the guest may send from these alone\nrate=10Mb/s   what it may send", "d" },
    { "network-detach", verb_network_detach, "[-f] DOMAIN INDEX|MAC", "remove an interface",
      "-f            without waiting for the guest to close it", "dm" },
    { "block-list", verb_block_list, "DOMAIN", "a domain's disks and their counters", NULL, "d" },
    { "block-attach", verb_block_attach, "DOMAIN TARGET[,FORMAT],VDEV[,ACCESS]", "add a disk",
      "TARGET        nbd:HOST[:PORT]/EXPORT, phy:DISK, or a file of the host\nFORMAT        raw, or empty\n"
      "VDEV          as the guest sees it: xvdb\nACCESS        r, w, or w! when others write it too", "d" },
    { "block-detach", verb_block_detach, "[-f] DOMAIN VDEV", "remove a disk",
      "-f            without waiting for the guest to close it", "db" },
    { "top", verb_top, "[-b] [-d SECONDS] [-i ROUNDS]", "domains by what they use, live",
      "-b            print, for scripts\n-d SECONDS    between two looks\n-i ROUNDS     how many", "" },
    { "uptime", verb_uptime, "[-s] [DOMAIN ...]", "how long host and domains have been running", NULL, "d+" },
    { "dmesg", verb_dmesg, "", "the hypervisor's log", NULL, "" },
    { "log", verb_log, "[-f]", "dom0's log", "-f            and what comes, until interrupted", "" },
    { "events", verb_events, "[-a] [-n COUNT] [DOMAIN]", "what happens to domains, as it happens",
      "-a            and what the host remembers\n-n COUNT      leave after so many", "d" },
    { "files", verb_files, "[rm NAME ...]", "files that the host makes domains of; rm removes uploads", NULL, "h+" },
    { "upload", verb_upload, "FILE [NAME]", "bring the host a file of this machine", NULL, "f" },
    { "fetch", verb_fetch, "URL [NAME]", "let the host fetch a file", NULL, "" },
    { "config", verb_config, "check FILE ...", "what of an xl.cfg is not supported, and what to do", NULL, "f+" },
    { "domid", verb_domid, "DOMAIN", "a domain's id", NULL, "d" },
    { "domname", verb_domname, "ID", "a domain's name", NULL, "" },
    { "hosts", verb_hosts, "", "the hosts that sluice.conf names; * is the default", NULL, "" },
    { "version", verb_version, "", "of this command, and of the host", NULL, "" },
    { "help", verb_help, "[VERB]", "this list, or how a verb is used", NULL, "v" },
    { "_complete", verb_complete, "", NULL, NULL, "" },
};

/* xl's, for fingers that know them: each verb of xl(1) that is not above. * stands for the rest of a name. */
static const struct {
    const char *name, *advice;
} absent[] = {
    { "migrate", "domains cannot be moved yet: shut down here, create there" },
    { "remus", "domains cannot be moved yet" },
    { "save", "domains cannot be saved yet" },
    { "restore", "domains cannot be saved yet" },
    { "dump-core", "see what the guest printed: sluice console -p" },
    { "sched-credit2", "the scheduler is set by sluice sched-credit" },
    { "sched-rtds", "the scheduler is set by sluice sched-credit" },
    { "cpupool-*", "there is one pool with every CPU: tie domains to some with sluice vcpu-pin" },
    { "pci-*", "devices are not passed through to guests: network and disks come by vif and disk" },
    { "usb*", "devices are not passed through to guests" },
    { "cd-insert", "attach and detach disks with sluice block-attach and block-detach" },
    { "cd-eject", "detach the disk with sluice block-detach" },
    { "vncviewer", "there is no framebuffer: use sluice console" },
    { "channel-list", "a domain has one console: sluice console" },
    { "vtpm-*", "there are interfaces and disks: sluice network-list, sluice block-list" },
    { "vdispl-*", "there is no framebuffer: use sluice console" },
    { "vkb-*", "there is no framebuffer: use sluice console" },
    { "vsnd-*", "there are interfaces and disks: sluice network-list, sluice block-list" },
    { "sysrq", "domains are not sent magic keys" },
    { "trigger", "see sluice shutdown and sluice reboot" },
    { "button-press", "see sluice shutdown" },
    { "config-update", "create the domain anew" },
    { "vm-list", "sluice list -v shows UUIDs and names" },
    { "claims", "sluice info shows free memory, sluice list what domains have" },
    { "sharing", "domains share no memory; sluice list shows what they have" },
    { "debug-keys", "see sluice dmesg" },
    { "set-parameters", "the hypervisor's parameters are set when the host boots" },
    { "getenforce", "there is no security module: see the API's roles" },
    { "setenforce", "there is no security module: see the API's roles" },
    { "loadpolicy", "there is no security module: see the API's roles" },
    { "psr-*", "caches and memory bandwidth are not partitioned: see sluice vcpu-pin and sluice sched-credit" },
    { "qemu-monitor-command", "there is no device model" },
};

static const struct verb *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

static int unknown(struct cli *c, const char *name)
{
    const char *near = NULL;
    unsigned int best = 3;
    char *hint;
    int rc;

    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        if (!fnmatch(absent[i].name, name, 0))
            return complain(c, CLI_USAGE, absent[i].advice, "xl's verb %s is not offered", name);
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        unsigned int d = units_distance(name, verbs[i].name);

        if (d < best && verbs[i].help) {
            best = d;
            near = verbs[i].name;
        }
    }
    hint = near ? must_printf("did you mean %s? sluice help lists all", near)
                : must(strdup("sluice help lists them"));
    rc = complain(c, CLI_USAGE, hint, "there is no verb %s", name);
    free(hint);
    return rc;
}

cli_verb verb_find(struct cli *c, char **typed)
{
    const char *name = *typed;
    const struct verb *v = find(name), *fit = NULL;
    char *all = NULL;
    size_t n, fits = 0;
    FILE *f;

    if (v)
        return v->run;
    f = must(open_memstream(&all, &n));
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (!*name || strncmp(verbs[i].name, name, strlen(name)) || !verbs[i].help)
            continue;
        fprintf(f, "%s%s", fits++ ? ", " : "", verbs[i].name);
        fit = &verbs[i];
    }
    fclose(f);
    if (fits > 1)
        complain(c, CLI_USAGE, NULL, "%s may be one of %s", name, all);
    else if (!fits)
        unknown(c, name);
    free(all);
    if (fits != 1)
        return NULL;
    *typed = (char *)(uintptr_t)fit->name;
    return fit->run;
}

int verb_usage(struct cli *c, const char *name)
{
    const struct verb *v = find(name);
    char *hint;
    int rc;

    hint = must_printf("sluice help %s says more", v->name);
    rc = complain(c, CLI_USAGE, hint, "usage: sluice %s%s%s", v->name, *v->usage ? " " : "", v->usage);
    free(hint);
    return rc;
}

int verb_help(struct cli *c, int argc, char **argv)
{
    if (argc > 2)
        return verb_usage(c, argv[0]);
    if (argc == 2) {
        const struct verb *v = find(argv[1]);

        if (!v || !v->help)
            return unknown(c, argv[1]);
        printf("sluice %s%s%s\n\n    %s\n", v->name, *v->usage ? " " : "", v->usage, v->help);
        if (v->more)
            printf("\n%s\n", v->more);
        return CLI_OK;
    }
    printf("usage: sluice [-H HOST] [OPTIONS] VERB ...\n\n"
           "-H HOST       a host of sluice.conf, or its URL\n"
           "--json        the host's answer as JSON\n"
           "--quiet       no notes, no progress\n"
           "--timeout S   seconds that a host may be silent\n"
           "--config F    instead of ~/.config/sluice.conf and /etc/sluice.conf\n"
           "--ca, --cert, --key, --token-file F   instead of what stands there\n"
           "--insecure    the host's URL is http://, and that is meant\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (verbs[i].help)
            printf("  %-15s %s\n", verbs[i].name, verbs[i].help);
    printf("\nVerbs may be abbreviated. sluice help VERB says more; sluice(1) says all.\n");
    return CLI_OK;
}

/* ------------------------------------------------------------------ for bash */

/* A member of each object of a list: a text, or a number. */
static void print_members(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *s = field_string(o, key);
        char *text = s ? clean(s) : NULL;

        if (json_is_integer(json_object_get(o, key)))
            printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(o, key)));
        if (text)
            puts(text);
        free(text);
    }
}

/* Strings that stand under that key in each object of a list of the host. */
static void print_list(struct cli *c, const char *path, const char *key)
{
    json_t *list = NULL;

    if (host_json(c, &(struct call){ .method = "GET", .path = path }, JSON_ARRAY, &list) == CLI_OK)
        print_members(list, key);
    json_decref(list);
}

static void print_of_domain(struct cli *c, const char *domain, const char *rest, const char *key)
{
    char *path = host_path("/v1/domains/", domain, rest);

    print_list(c, path, key);
    free(path);
}

/* The letter for the argument behind n others. */
static char completes(const struct verb *v, size_t n)
{
    size_t len = strlen(v->completes);

    if (len && v->completes[len - 1] == '+' && n >= len - 1)
        return v->completes[len - 2];
    return n < len ? v->completes[n] : '-';
}

static void print_verbs(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (verbs[i].help)
            puts(verbs[i].name);
}

static void print_options(const struct verb *v)
{
    for (const char *s = v->more; s; s = strchr(s, '\n') ? strchr(s, '\n') + 1 : NULL)
        if (*s == '-')
            printf("%.*s\n", (int)strcspn(s, " "), s);
}

/* What may follow a verb and its arguments so far, the last of them before[n - 1]. */
static void print_arguments(struct cli *c, const struct verb *v, char **before, size_t n)
{
    switch (completes(v, n)) {
    case 'v':
        print_verbs();
        break;
    case 'f':
        puts("@files");
        break;
    case 'd':
        print_list(c, "/v1/domains", "name");
        break;
    case 'h':
        print_list(c, "/v1/files", "name");
        break;
    case 'c':
        puts("all");
        print_of_domain(c, before[n - 1], "/vcpus", "vcpu");
        break;
    case 'm':
        print_of_domain(c, before[n - 1], "/networks", "mac");
        break;
    case 'b':
        print_of_domain(c, before[n - 1], "/disks", "vdev");
        break;
    }
}

/*
 * For completion.bash: "verbs", "hosts", "options VERB", "arguments VERB [ARGUMENT ...]". One candidate a line; what cannot
 * be found out is left out, silently.
 */
int verb_complete(struct cli *c, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "verbs";
    const struct verb *v = argc > 2 ? find(argv[2]) : NULL;

    if (!freopen("/dev/null", "w", stderr))
        return CLI_FAILED;
    c->quiet = true;
    c->timeout = 2;
    if (!strcmp(what, "verbs")) {
        print_verbs();
    } else if (!strcmp(what, "hosts")) {
        const struct conf *f = host_conf(c);

        for (unsigned int i = 0; f && i < f->hosts; i++)
            puts(f->host[i].name);
    } else if (v && !strcmp(what, "options")) {
        print_options(v);
    } else if (v) {
        print_arguments(c, v, argv + 3, (size_t)argc - 3);
    }
    return CLI_OK;
}
