/* SPDX-License-Identifier: MIT */
/*
 * main.c - sluice: the operator's command for Sluice hosts.
 *
 * Options that concern every verb stand before it or behind it; they are taken out here, and the
 * verb gets the rest. sluice(1) is the description for users.
 */
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "toolstack/cli/host.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

#define TIMEOUT_MAX 86400

static unsigned int columns(void)
{
    struct winsize w;
    const char *env = getenv("COLUMNS");
    uint64_t n;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (env && units_number(env, 20, 10000, &n))
        return (unsigned int)n;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
        return w.ws_col;
    return 80;
}

static void look_at_terminal(struct cli *c)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    c->out_tty = isatty(STDOUT_FILENO);
    c->err_tty = isatty(STDERR_FILENO);
    c->color = !(no_color && *no_color) && term && strcmp(term, "dumb");
    c->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    c->width = columns();
}

/* An option with a value: "--ca=FILE", "--ca FILE", "-H HOST", "-HHOST". Takes what it uses; false
 * when arg is another option. */
static bool valued(int argc, char **argv, int *i, const char *name, const char **value, bool *missing)
{
    size_t n = strlen(name);
    const char *arg = argv[*i];

    if (strncmp(arg, name, n))
        return false;
    if (!arg[n]) {
        *missing = *i + 1 >= argc;
        if (!*missing)
            *value = argv[++*i];
        return true;
    }
    if (name[1] == '-' && arg[n] != '=')
        return false;
    *value = arg + n + (arg[n] == '=');
    return true;
}

/* Takes the common options out of argv. Returns CLI_OK, or CLI_USAGE after a complaint. */
static int common_options(struct cli *c, int *argc, char **argv, bool *help, bool *version)
{
    const char *timeout = NULL;
    const struct {
        const char *name;
        const char **to;
    } values[] = {
        { "-H", &c->host }, { "--host", &c->host }, { "--config", &c->config }, { "--ca", &c->ca },
        { "--cert", &c->cert }, { "--key", &c->key }, { "--token-file", &c->token_file },
        { "--timeout", &timeout },
    };
    const struct {
        const char *name;
        bool *to;
    } flags[] = {
        { "--json", &c->json }, { "--insecure", &c->insecure }, { "--quiet", &c->quiet },
        { "--help", help }, { "-h", help }, { "--version", version },
    };
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        bool taken = false, missing = false;
        const char *arg = argv[i];

        if (!strcmp(arg, "--")) {
            while (i < *argc)
                argv[kept++] = argv[i++];
            break;
        }
        for (size_t k = 0; k < ARRAY_SIZE(values) && !taken; k++)
            taken = valued(*argc, argv, &i, values[k].name, values[k].to, &missing);
        if (missing)
            return complain(c, CLI_USAGE, "see sluice help", "%s needs a value", arg);
        for (size_t k = 0; k < ARRAY_SIZE(flags) && !taken; k++) {
            taken = !strcmp(arg, flags[k].name);
            if (taken)
                *flags[k].to = true;
        }
        if (!taken && arg[0] == '-' && kept == 1)
            return complain(c, CLI_USAGE, "see sluice help", "there is no option %s", arg);
        if (!taken)
            argv[kept++] = argv[i];
    }
    *argc = kept;
    argv[kept] = NULL;
    if (timeout) {
        uint64_t n;

        if (!units_number(timeout, 1, TIMEOUT_MAX, &n))
            return complain(c, CLI_USAGE, NULL, "--timeout %s: seconds, from 1 to %d", timeout, TIMEOUT_MAX);
        c->timeout = (unsigned int)n;
    }
    return CLI_OK;
}

int main(int argc, char **argv)
{
    struct cli c = { 0 };
    bool help = false, version = false;
    cli_verb run;
    int rc;

    setlocale(LC_CTYPE, "");
    look_at_terminal(&c);
    signal(SIGPIPE, SIG_IGN);
    opterr = 0;
    if (common_options(&c, &argc, argv, &help, &version))
        return CLI_USAGE;
    if (version) {
        printf("sluice %s\n", SLUICE_VERSION);
        return say_done(&c, CLI_OK);
    }
    if (help && argc > 1) {
        char *args[] = { (char *)(uintptr_t)"help", argv[1], NULL };

        return say_done(&c, verb_help(&c, 2, args));
    }
    if (argc < 2) {
        char *args[] = { (char *)(uintptr_t)"help", NULL };

        if (!help)
            return complain(&c, CLI_USAGE, "sluice help lists them", "what should be done? a verb is expected");
        return say_done(&c, verb_help(&c, 1, args));
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    run = verb_find(&c, &argv[1]);
    rc = run ? run(&c, argc - 1, argv + 1) : CLI_USAGE;
    rc = say_done(&c, rc);
    host_close(&c);
    curl_global_cleanup();
    return rc;
}
