/* SPDX-License-Identifier: MIT */
/* life.c - verbs that change a domain's life: shutdown, reboot, destroy, pause, unpause, suspend, resume, rename. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

#define SUSPEND_SECONDS     60      /* that a guest has */
#define SUSPEND_SECONDS_MAX 600     /* the host's limit */
#define SUSPEND_MARGIN      10      /* that the host may be silent beyond them */

static int one_domain(struct cli *c, int argc, char **argv, const char *rest, const char *offer)
{
    int o;

    while ((o = getopt(argc, argv, "f")) >= 0)      /* xl destroy -f: nothing here needs force */
        if (o != 'f' || strcmp(argv[0], "destroy"))
            return verb_usage(c, argv[0]);
    if (argc - optind != 1)
        return verb_usage(c, argv[0]);
    return domain_call(c, argv[optind], "POST", rest, offer, NULL, NULL);
}

int verb_destroy(struct cli *c, int argc, char **argv)
{
    return one_domain(c, argc, argv, "/destroy", "destroying domains");
}

int verb_pause(struct cli *c, int argc, char **argv)
{
    return one_domain(c, argc, argv, "/pause", "pausing domains");
}

int verb_unpause(struct cli *c, int argc, char **argv)
{
    return one_domain(c, argc, argv, "/unpause", "pausing domains");
}

/* The host answers when the guest has done it. */
int verb_suspend(struct cli *c, int argc, char **argv)
{
    uint64_t seconds = SUSPEND_SECONDS;
    char *rest;
    int o, rc;

    while ((o = getopt(argc, argv, "t:")) >= 0)
        if (o != 't' || !units_number(optarg, 1, SUSPEND_SECONDS_MAX, &seconds))
            return verb_usage(c, argv[0]);
    if (argc - optind != 1)
        return verb_usage(c, argv[0]);
    rest = must_printf("/suspend?timeout=%" PRIu64, seconds);
    rc = domain_call_slow(c, argv[optind], "POST", rest, "suspending domains", (unsigned int)seconds + SUSPEND_MARGIN,
                          NULL, NULL);
    free(rest);
    return rc;
}

int verb_resume(struct cli *c, int argc, char **argv)
{
    return one_domain(c, argc, argv, "/resume", "suspending domains");
}

int verb_rename(struct cli *c, int argc, char **argv)
{
    json_t *body;
    int rc;

    if (argc != 3 || argv[1][0] == '-')
        return verb_usage(c, argv[0]);
    body = json_pack("{s:s}", "name", argv[2]);
    if (!body)
        return complain(c, CLI_USAGE, NULL, "the new name is no UTF-8");
    rc = domain_call(c, argv[1], "POST", "/rename", "renaming domains", body, NULL);
    json_decref(body);
    return rc;
}

/* ------------------------------------------------------------------ shutdown and reboot */

/* A domain that was asked to end: gone, standing still, or running anew all count as ended. */
static int wait_for_end(struct cli *c, const struct domain *before)
{
    char *what = must_printf("%s: waiting for its end", before->name);
    struct progress p;
    int rc = CLI_OK;

    progress_begin(&p, c, what);
    for (;;) {
        struct domain d;
        json_t *json;
        bool ended;

        rc = domain_look(c, before->name, &json, &d);
        if (rc) {
            rc = rc == CLI_NOT_FOUND ? CLI_OK : rc;
            break;
        }
        ended = !strcmp(d.state, "shutdown") || d.id != before->id || d.restarts != before->restarts;
        json_decref(json);
        if (ended)
            break;
        progress_show(&p, 0, 0);
        nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
    }
    progress_end(&p);
    free(what);
    return rc;
}

/* Asks each of the n domains, then waits for all of them when wait is set. */
static int ask_all(struct cli *c, const struct domain *list, size_t n, const char *rest, bool wait)
{
    bool *asked = must(calloc(n + 1, sizeof(*asked)));
    int rc = CLI_OK;

    for (size_t i = 0; i < n; i++) {
        int one = domain_call(c, list[i].name, "POST", rest, "asking domains to end", NULL, NULL);

        asked[i] = !one;
        rc = rc ? rc : one;
    }
    for (size_t i = 0; i < n && wait; i++) {
        int one = asked[i] ? wait_for_end(c, &list[i]) : CLI_OK;

        rc = rc ? rc : one;
    }
    free(asked);
    return rc;
}

static int end_domains(struct cli *c, int argc, char **argv, const char *rest)
{
    bool all = false, wait = false;
    struct domain *list, one;
    json_t *json;
    size_t n;
    int o, rc;

    while ((o = getopt(argc, argv, "awF")) >= 0) {
        if (o == 'a')
            all = true;
        else if (o == 'w')
            wait = true;
        else if (o != 'F')          /* fall back to ACPI: paravirtual guests have none */
            return verb_usage(c, argv[0]);
    }
    if (argc - optind != (all ? 0 : 1))
        return verb_usage(c, argv[0]);
    if (all) {
        rc = domains_get(c, &json, &list, &n);
        if (!rc)
            rc = ask_all(c, list, n, rest, wait);
        free(list);
    } else {
        rc = domain_get(c, argv[optind], &json, &one);
        if (!rc)
            rc = ask_all(c, &one, 1, rest, wait);
    }
    json_decref(json);
    return rc;
}

int verb_shutdown(struct cli *c, int argc, char **argv)
{
    return end_domains(c, argc, argv, "/shutdown");
}

int verb_reboot(struct cli *c, int argc, char **argv)
{
    return end_domains(c, argc, argv, "/reboot");
}
