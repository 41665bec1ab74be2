/* SPDX-License-Identifier: MIT */
/*
 * top.c - the verb top: domains by what they use, again every few seconds, on the whole terminal.
 *
 * The host's counters only grow; shares are differences between two looks, over the host's own time.
 */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/metrics.h"
#include "toolstack/cli/say.h"
#include "toolstack/cli/units.h"

enum order { BY_CPU, BY_MEMORY, BY_NET, BY_DISK, BY_NAME };

struct usage {
    char *name;
    char state[7];
    int64_t id;
    double seconds, cpu;            /* so far; per cent of one CPU since the look before */
    uint64_t memory_kib;
    unsigned int vcpus;
    struct metrics_moved moved;     /* so far */
    double rx_rate, tx_rate, rd_rate, wr_rate;  /* bytes a second; negative = not known */
};

struct look {
    struct usage *domain;
    size_t n;
    double time;                    /* the host's, seconds since its start */
    uint64_t cpus, total_mib, free_mib;
    char *host;
};

static struct termios saved;
static volatile sig_atomic_t on_screen;

static void leave_screen(void)
{
    static const char back[] = "\033[?25h\033[?1049l";

    if (!on_screen)
        return;
    on_screen = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    (void)!write(STDOUT_FILENO, back, sizeof(back) - 1);
}

static void on_signal(int sig)
{
    leave_screen();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_resize(int sig)
{
}

static void enter_screen(void)
{
    static const char go[] = "\033[?1049h\033[?25l";
    struct termios t;

    tcgetattr(STDIN_FILENO, &saved);
    t = saved;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
    on_screen = 1;
    atexit(leave_screen);
    say_terminal_back = leave_screen;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    sigaction(SIGWINCH, &(struct sigaction){ .sa_handler = on_resize }, NULL);
    (void)!write(STDOUT_FILENO, go, sizeof(go) - 1);
}

/* ------------------------------------------------------------------ looking */

static void free_look(struct look *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->domain[i].name);
    free(l->domain);
    free(l->host);
    *l = (struct look){ 0 };
}

static struct metrics_moved *moved_of(void *arg, const char *name, size_t len)
{
    struct look *l = arg;

    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->domain[i].name) == len && !memcmp(l->domain[i].name, name, len))
            return &l->domain[i].moved;
    return NULL;
}

/* What domains' devices moved. A host without metrics has nothing to say. */
static void look_at_devices(struct cli *c, struct look *l)
{
    struct answer a;

    if (host_call(c, &(struct call){ .method = "GET", .path = "/metrics", .silent = true }, &a) == CLI_OK)
        metrics_read(a.body, a.len, moved_of, l);
    answer_free(&a);
}

static int take_look(struct cli *c, struct look *l)
{
    struct domain *list;
    json_t *host, *json;
    size_t n;
    int rc = host_json(c, &(struct call){ .method = "GET", .path = "/v1/host", .offer = "host information" },
                       JSON_OBJECT, &host);

    *l = (struct look){ 0 };
    if (rc)
        return rc;
    l->time = field_number(host, "uptime_ns", 0) / 1e9;
    l->cpus = field_uint(host, "cpus", 0);
    l->total_mib = field_uint(host, "memory_pages", 0) / 256;
    l->free_mib = field_uint(host, "memory_free_pages", 0) / 256;
    l->host = clean(field_string(host, "name") ? field_string(host, "name") : host_name(c));
    json_decref(host);
    rc = domains_get(c, &json, &list, &n);
    if (rc) {
        free_look(l);
        return rc;
    }
    l->domain = must(calloc(n + 1, sizeof(*l->domain)));
    l->n = n;
    for (size_t i = 0; i < n; i++) {
        struct usage *u = &l->domain[i];

        *u = (struct usage){ .name = must(strdup(list[i].name)), .id = list[i].id, .seconds = list[i].cpu_seconds,
                             .memory_kib = list[i].memory_kib, .vcpus = list[i].vcpus_online,
                             .cpu = -1, .rx_rate = -1, .tx_rate = -1, .rd_rate = -1, .wr_rate = -1 };
        domain_letters(&list[i], u->state);
    }
    look_at_devices(c, l);
    free(list);
    json_decref(json);
    return CLI_OK;
}

static double rate(uint64_t before, uint64_t now, double time)
{
    return now >= before ? (double)(now - before) / time : -1;
}

static void compare(struct look *now, const struct look *before)
{
    double time = now->time - before->time;

    if (time <= 0)
        return;
    for (size_t i = 0; i < now->n; i++) {
        struct usage *u = &now->domain[i];

        for (size_t j = 0; j < before->n; j++) {
            const struct usage *b = &before->domain[j];

            if (b->id != u->id || strcmp(b->name, u->name))
                continue;
            u->cpu = u->seconds >= b->seconds ? (u->seconds - b->seconds) / time * 100 : -1;
            if (!u->moved.known || !b->moved.known)
                continue;
            u->rx_rate = rate(b->moved.received, u->moved.received, time);
            u->tx_rate = rate(b->moved.sent, u->moved.sent, time);
            u->rd_rate = rate(b->moved.read, u->moved.read, time);
            u->wr_rate = rate(b->moved.written, u->moved.written, time);
        }
    }
}

/* ------------------------------------------------------------------ showing */

static enum order order;

static double weight_of(const struct usage *u)
{
    switch (order) {
    case BY_CPU: return u->cpu >= 0 ? u->cpu : 0;
    case BY_MEMORY: return (double)u->memory_kib;
    case BY_NET: return u->rx_rate + u->tx_rate;
    case BY_DISK: return u->rd_rate + u->wr_rate;
    case BY_NAME: break;
    }
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    double wx = weight_of(x), wy = weight_of(y);

    return wx < wy ? 1 : wx > wy ? -1 : strcmp(x->name, y->name);
}

static const struct table_column columns[] = {
    { .title = "NAME", .least = 8 },
    { .title = "STATE", .drop = 5 },
    { .title = "CPU(s)", .right = true, .drop = 4 },
    { .title = "CPU%", .right = true },
    { .title = "MEM", .right = true },
    { .title = "MEM%", .right = true, .drop = 6 },
    { .title = "VCPUS", .right = true, .drop = 7 },
    { .title = "RX/s", .right = true, .drop = 2 },
    { .title = "TX/s", .right = true, .drop = 2 },
    { .title = "RD/s", .right = true, .drop = 3 },
    { .title = "WR/s", .right = true, .drop = 3 },
};

static const char *rate_text(double r, char *buf, size_t size)
{
    if (r < 0)
        return NULL;
    units_bytes(buf, size, (uint64_t)r);
    return buf;
}

static char *table_of(struct cli *c, const struct look *l, unsigned int width)
{
    bool color = c->color && c->out_tty;
    struct table t;
    char *text;

    table_begin(&t, columns, ARRAY_SIZE(columns));
    for (size_t i = 0; i < l->n; i++) {
        const struct usage *u = &l->domain[i];
        char s[32], cpu[32], mem[16], pct[32], v[16], a[16], b[16], d[16], e[16];

        snprintf(s, sizeof(s), "%.0f", u->seconds);
        snprintf(cpu, sizeof(cpu), "%.1f", u->cpu);
        units_bytes(mem, sizeof(mem), u->memory_kib * 1024);
        snprintf(pct, sizeof(pct), "%.1f", l->total_mib ? (double)u->memory_kib / 10.24 / (double)l->total_mib : 0);
        snprintf(v, sizeof(v), "%u", u->vcpus);
        table_row(&t, (const char *[]){ u->name, u->state, s, u->cpu < 0 ? NULL : cpu, mem, pct, v,
                                        rate_text(u->rx_rate, a, sizeof(a)), rate_text(u->tx_rate, b, sizeof(b)),
                                        rate_text(u->rd_rate, d, sizeof(d)), rate_text(u->wr_rate, e, sizeof(e)) });
    }
    text = table_text(&t, width, color ? "\033[7m" : "", color ? "\033[0m" : "", c->utf8 ? "\u2026" : "~");
    table_end(&t);
    return text;
}

static char *header(const struct look *l)
{
    char up[64];
    double busy = 0;

    for (size_t i = 0; i < l->n; i++)
        busy += l->domain[i].cpu > 0 ? l->domain[i].cpu : 0;
    units_uptime(up, sizeof(up), (uint64_t)l->time);
    return must_printf("%s  up %s, %zu domains, %" PRIu64 " CPUs %.0f%% by guests, memory %" PRIu64 "M, %" PRIu64 "M free",
                       l->host, up, l->n, l->cpus, busy, l->total_mib, l->free_mib);
}

/* Prints at most so many columns of a line. */
static void put_line(const char *s, size_t len, unsigned int width)
{
    printf("%.*s\033[K\n", (int)(table_width(s) > width && len > width ? width : len), s);
}

static void draw(struct cli *c, const struct look *l)
{
    struct winsize w = { .ws_row = 24, .ws_col = 80 };
    char *text, *head = header(l);
    unsigned int row = 1;

    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    w.ws_col = w.ws_col ? w.ws_col : 80;
    w.ws_row = w.ws_row ? w.ws_row : 24;
    text = table_of(c, l, w.ws_col);
    printf("\033[H");
    put_line(head, strlen(head), w.ws_col);
    for (char *s = text; *s && row + 2 < w.ws_row; row++) {
        char *end = strchr(s, '\n');

        printf("%.*s\033[K\n", (int)(end - s), s);
        s = end + 1;
    }
    printf("\033[J\033[%d;1H%.*s\033[K", w.ws_row, w.ws_col,
           "q quit   sort by: c CPU  m memory  n network  d disk  a name");
    fflush(stdout);
    free(text);
    free(head);
}

static void print_batch(struct cli *c, const struct look *l)
{
    if (c->json) {
        json_t *o = json_pack("{s:s, s:f, s:[]}", "host", l->host, "time", l->time, "domains");

        for (size_t i = 0; i < l->n; i++) {
            const struct usage *u = &l->domain[i];

            json_array_append_new(json_object_get(o, "domains"),
                                  json_pack("{s:s, s:I, s:f, s:o, s:I}", "name", u->name, "id", (json_int_t)u->id,
                                            "cpu_seconds", u->seconds, "cpu_percent",
                                            u->cpu < 0 ? json_null() : json_real(u->cpu), "memory_kib",
                                            (json_int_t)u->memory_kib));
        }
        say_json(o);
        json_decref(o);
    } else {
        char *head = header(l), *text = table_of(c, l, c->width);

        printf("%s\n%s", head, text);
        free(head);
        free(text);
    }
    fflush(stdout);
}

/* Waits so long, or for a key or a new size. False: quit. */
static bool wait_keys(uint64_t until_ms)
{
    static const char keys[] = "cmnda";

    for (;;) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        uint64_t now = clock_ms();
        const char *k;
        char ch;

        if (now >= until_ms)
            return true;
        if (poll(&p, 1, (int)(until_ms - now)) < 0)
            return true;                /* the window changed */
        if (!p.revents)
            return true;
        if (read(STDIN_FILENO, &ch, 1) <= 0 || ch == 'q' || ch == 'Q' || ch == 3)
            return false;
        k = strchr(keys, ch);
        if (k && ch) {
            order = (enum order)(k - keys);
            return true;
        }
    }
}

int verb_top(struct cli *c, int argc, char **argv)
{
    struct look before = { 0 }, now = { 0 };
    uint64_t delay = 2, rounds = 0, round = 0;
    bool batch = false;
    int o, rc;

    while ((o = getopt(argc, argv, "bd:i:")) >= 0) {
        if (o == 'b')
            batch = true;
        else if (!(o == 'd' && units_number(optarg, 1, 3600, &delay)) &&
                 !(o == 'i' && units_number(optarg, 1, 1000000000, &rounds)))
            return verb_usage(c, argv[0]);
    }
    if (argc != optind)
        return verb_usage(c, argv[0]);
    batch |= !c->out_tty || !isatty(STDIN_FILENO) || c->json;
    rc = take_look(c, &now);
    if (rc)
        return rc;
    if (!batch)
        enter_screen();
    for (;;) {
        uint64_t next = clock_ms() + delay * 1000;
        bool go_on = true;

        qsort(now.domain, now.n, sizeof(*now.domain), by_order);
        if (batch)
            print_batch(c, &now);
        else
            draw(c, &now);
        if (rounds && ++round == rounds)
            break;
        if (batch)
            (void)poll(NULL, 0, (int)(delay * 1000));
        else
            go_on = wait_keys(next);
        if (!go_on)
            break;
        if (clock_ms() + 50 < next && !batch)
            continue;                   /* a key: the same figures in another order */
        free_look(&before);
        before = now;
        rc = take_look(c, &now);
        if (rc)
            break;
        compare(&now, &before);
    }
    leave_screen();
    free_look(&before);
    free_look(&now);
    return rc;
}
