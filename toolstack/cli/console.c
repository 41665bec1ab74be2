/* SPDX-License-Identifier: MIT */
/*
 * console.c - a domain's console on this terminal: the verb console, and create -c.
 *
 * Two transfers in one curl multi handle: output is a stream that the host keeps open, input goes
 * in requests of its own, one at a time, so that bytes stay in order. The terminal is raw while
 * attached; whatever way the program leaves, the terminal is what it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "toolstack/cli/console.h"
#include "toolstack/cli/domain.h"
#include "toolstack/cli/host.h"
#include "toolstack/cli/replay.h"
#include "toolstack/cli/say.h"

#define LEAVE       0x1d        /* Ctrl-] */
#define INPUT_MAX   4096        /* bytes of one request, and held at most */
#define RETRY_MS    100         /* the guest reads slowly: what it did not take is sent again */
#define ANSWER_MAX  4096
#define QUIET_MS    300         /* so long without output: what was kept has all been shown */

static struct termios saved;
static volatile sig_atomic_t raw;

static void restore(void)
{
    if (raw)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    raw = 0;
}

static void on_signal(int sig)
{
    restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void make_raw(void)
{
    static const int ends[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
    static bool registered;
    struct termios t;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved))
        return;
    if (!registered) {
        atexit(restore);
        say_terminal_back = restore;
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
            signal(ends[i], on_signal);
        registered = true;
    }
    t = saved;
    cfmakeraw(&t);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) == 0)
        raw = 1;
}

struct session {
    struct cli *c;
    const char *domain;
    CURLM *multi;
    CURL *output, *input;
    struct curl_slist *headers;
    char *output_answer;            /* an error's text */
    size_t output_len;
    /* Input: held bytes, of which the first sent_len are on their way. */
    char held[INPUT_MAX];
    size_t held_len, sent_len;
    bool sending, eof, leave;
    uint64_t not_before_ms;
    char answer[ANSWER_MAX + 1];
    size_t answer_len;
    bool write_failed;
    /* What the host kept of the output comes first. */
    bool replaying;
    uint64_t heard_ms;
    struct replay replay;
};

static bool write_out(struct session *s, const char *data, size_t left)
{
    while (left) {
        ssize_t w = write(STDOUT_FILENO, data, left);

        if (w < 0 && (errno == EINTR || errno == EAGAIN)) {
            (void)poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, 1000);
            continue;
        }
        if (w <= 0) {
            s->write_failed = true;
            return false;
        }
        data += w;
        left -= (size_t)w;
    }
    return true;
}

static bool write_old(struct session *s, const char *data, size_t len)
{
    char *out = must(malloc(len + REPLAY_HELD));
    bool ok = write_out(s, out, replay_filter(&s->replay, data, len, out));

    free(out);
    s->heard_ms = clock_ms();
    return ok;
}

static void end_replay(struct session *s)
{
    char out[REPLAY_HELD];

    s->replaying = false;
    (void)write_out(s, out, replay_end(&s->replay, out));
}

static size_t on_output(char *data, size_t size, size_t n, void *arg)
{
    struct session *s = arg;
    long status = 0;

    n *= size;
    curl_easy_getinfo(s->output, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) {
        if (s->output_len + n > HOST_ANSWER_MAX)
            return CURL_WRITEFUNC_ERROR;
        s->output_answer = must(realloc(s->output_answer, s->output_len + n + 1));
        memcpy(s->output_answer + s->output_len, data, n);
        s->output_len += n;
        s->output_answer[s->output_len] = '\0';
        return n;
    }
    if (!(s->replaying ? write_old(s, data, n) : write_out(s, data, n)))
        return CURL_WRITEFUNC_ERROR;
    return n;
}

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
    struct session *s = arg;

    n *= size;
    if (n > ANSWER_MAX - s->answer_len)
        return CURL_WRITEFUNC_ERROR;
    memcpy(s->answer + s->answer_len, data, n);
    s->answer_len += n;
    s->answer[s->answer_len] = '\0';
    return n;
}

/* What was typed; Ctrl-] leaves, and what stands before it still goes out. */
static void read_input(struct session *s)
{
    char *at = s->held + s->held_len, *end;
    ssize_t n = read(STDIN_FILENO, at, INPUT_MAX - s->held_len);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        s->eof = true;
        return;
    }
    end = raw ? memchr(at, LEAVE, (size_t)n) : NULL;
    if (end) {
        s->leave = true;
        n = end - at;
    }
    s->held_len += (size_t)n;
}

static void send_input(struct session *s)
{
    s->sent_len = s->held_len;
    s->answer_len = 0;
    s->answer[0] = '\0';
    curl_easy_setopt(s->input, CURLOPT_POSTFIELDS, s->held);
    curl_easy_setopt(s->input, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->sent_len);
    curl_multi_add_handle(s->multi, s->input);
    s->sending = true;
}

/* The host says how much of it the domain took; the rest stays held. */
static int input_done(struct session *s, CURLcode result)
{
    struct call k = { .method = "POST", .path = "console", .offer = "console input" };
    uint64_t taken;
    long status = 0;
    json_t *o;

    curl_easy_getinfo(s->input, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(s->multi, s->input);
    s->sending = false;
    if (result)
        return host_curl_error(s->c, result, NULL);
    if (status == 404 || status == 409) {       /* it ended just now: the output says so too */
        s->held_len = 0;
        return CLI_OK;
    }
    if (status / 100 != 2)
        return host_status_error(s->c, &k, status, s->answer);
    o = json_loads(s->answer, 0, NULL);
    taken = field_uint(o, "accepted", s->sent_len);
    json_decref(o);
    taken = MIN(taken, (uint64_t)s->sent_len);
    if (taken < s->sent_len)
        s->not_before_ms = clock_ms() + RETRY_MS;
    memmove(s->held, s->held + taken, s->held_len - taken);
    s->held_len -= taken;
    return CLI_OK;
}

/* How the session ended, on a line of its own whatever the domain wrote last. */
static void told(struct session *s, const char *what)
{
    if (s->c->err_tty && !s->c->quiet)
        fputc('\n', stderr);
    note(s->c, "%s: %s", s->domain, what);
}

/* The stream's end: the domain's end, or something is wrong. */
static int output_done(struct session *s, CURLcode result)
{
    char *path;
    long status = 0;
    struct domain d;
    json_t *json;
    int rc;

    restore();
    curl_easy_getinfo(s->output, CURLINFO_RESPONSE_CODE, &status);
    if (s->write_failed)
        return CLI_FAILED;
    if (result)
        return host_curl_error(s->c, result, NULL);
    if (status / 100 != 2) {
        path = host_path("/v1/domains/", s->domain, "/console");
        rc = host_status_error(s->c, &(struct call){ .path = path, .offer = "consoles" }, status,
                               s->output_answer ? s->output_answer : "");
        free(path);
        return rc;
    }
    rc = domain_look(s->c, s->domain, &json, &d);
    if (rc == CLI_NOT_FOUND) {
        told(s, "the domain has ended");
        return CLI_OK;
    }
    if (rc)
        return rc;
    if (!strcmp(d.state, "shutdown") || !strcmp(d.state, "dying")) {
        told(s, "the domain has ended");
        rc = CLI_OK;
    } else {
        rc = complain(s->c, CLI_NOT_OFFERED, "it may be older than this command: see sluice version",
                      "%s: this host does not offer consoles as a stream", host_name(s->c));
    }
    json_decref(json);
    return rc;
}

/* One turn. True when the session is over, with its status in *rc. */
static bool turn(struct session *s, bool input, int *rc)
{
    struct curl_waitfd in = { .fd = STDIN_FILENO, .events = CURL_WAIT_POLLIN };
    bool room = input && !s->eof && !s->leave && s->held_len < INPUT_MAX;
    uint64_t now = clock_ms();
    int running, left, wait = 1000;
    CURLMsg *m;

    if (s->replaying && s->heard_ms && now - s->heard_ms > QUIET_MS)
        end_replay(s);
    else if (s->replaying)
        wait = QUIET_MS / 2;
    if (s->held_len && !s->sending && now < s->not_before_ms)
        wait = (int)(s->not_before_ms - now);
    else if (s->held_len && !s->sending)
        send_input(s);
    if (curl_multi_perform(s->multi, &running)) {
        *rc = complain(s->c, CLI_FAILED, NULL, "the connection failed");
        return true;
    }
    while ((m = curl_multi_info_read(s->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        if (m->easy_handle == s->output) {
            *rc = output_done(s, m->data.result);
            return true;
        }
        *rc = input_done(s, m->data.result);
        if (*rc)
            return true;
        wait = 0;
    }
    if ((s->eof || s->leave) && !s->held_len && !s->sending)
        return true;
    curl_multi_poll(s->multi, &in, room ? 1 : 0, wait, NULL);
    if (in.revents)
        read_input(s);
    return false;
}

static void begin(struct session *s)
{
    char *path = host_path("/v1/domains/", s->domain, "/console?from=0&follow=1");

    s->multi = must(curl_multi_init());
    s->output = host_handle(s->c, "GET", path);
    free(path);
    curl_easy_setopt(s->output, CURLOPT_WRITEFUNCTION, on_output);
    curl_easy_setopt(s->output, CURLOPT_WRITEDATA, s);
    curl_multi_add_handle(s->multi, s->output);
    path = host_path("/v1/domains/", s->domain, "/console");
    s->input = host_handle(s->c, "POST", path);
    free(path);
    s->headers = curl_slist_append(NULL, "Content-Type: application/octet-stream");
    s->headers = curl_slist_append(s->headers, "Expect:");
    curl_easy_setopt(s->input, CURLOPT_HTTPHEADER, s->headers);
    curl_easy_setopt(s->input, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(s->input, CURLOPT_WRITEDATA, s);
}

static void end(struct session *s)
{
    if (s->sending)
        curl_multi_remove_handle(s->multi, s->input);
    curl_multi_remove_handle(s->multi, s->output);
    curl_easy_cleanup(s->input);
    curl_easy_cleanup(s->output);
    curl_multi_cleanup(s->multi);
    curl_slist_free_all(s->headers);
    free(s->output_answer);
}

int console_run(struct cli *c, const char *domain, const struct console_options *o)
{
    static struct session s;
    struct domain d;
    json_t *json;
    int rc = domain_get(c, domain, &json, &d);

    if (rc)
        return rc;
    json_decref(json);
    s = (struct session){ .c = c, .domain = domain, .replaying = !o->unpause };
    begin(&s);
    if (!o->output_only && isatty(STDIN_FILENO)) {
        note(c, "%s: console; Ctrl-] leaves", domain);
        make_raw();
    }
    fflush(stdout);
    if (o->unpause) {
        bool json_out = c->json;

        c->json = false;
        rc = domain_call(c, domain, "POST", "/unpause", "pausing domains", NULL, NULL);
        c->json = json_out;
    }
    while (!rc && !turn(&s, !o->output_only, &rc))
        ;
    if (s.replaying)
        end_replay(&s);
    restore();
    if (s.leave)
        told(&s, "left; the domain goes on");
    end(&s);
    return rc;
}

int verb_console(struct cli *c, int argc, char **argv)
{
    struct console_options options = { 0 };
    bool print = false;
    int o;

    while ((o = getopt(argc, argv, "opn:t:")) >= 0) {
        if (o == 'o')
            options.output_only = true;
        else if (o == 'p')
            print = true;
        else if (!((o == 'n' && !strcmp(optarg, "0")) || (o == 't' && !strcmp(optarg, "pv"))))
            return verb_usage(c, argv[0]);      /* xl: one console of one kind */
    }
    if (argc - optind != 1)
        return verb_usage(c, argv[0]);
    if (print) {
        char *path = host_path("/v1/domains/", argv[optind], "/console?from=0");
        struct answer a;
        int rc = host_call(c, &(struct call){ .method = "GET", .path = path, .offer = "consoles" }, &a);

        if (!rc)
            say_text(c, a.body, a.len);
        answer_free(&a);
        free(path);
        return rc;
    }
    return console_run(c, argv[optind], &options);
}
