/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/conf.c toolstack/cli/text.c lib/utf8.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/cli/conf.h"

static struct conf f;

static bool parse(const char *file, const char *text, char **why)
{
    *why = NULL;
    return conf_parse(&f, file, text, strlen(text), "/home/me", why);
}

static void good(void **state)
{
    const struct conf_host *h;
    char *why;

    assert_true(parse("/home/me/.config/sluice.conf",
                      "# mine\r\n default = h1\n\n[h1]\nurl = https://h1.example.net/\nca=ca.pem\n"
                      "token-file = ~/tok en\n; more\n[ lab ]\nurl=http://10.0.0.7:8080\ninsecure = yes\n"
                      "[v6]\nurl = https://[fd00::1]:8443\ncert = /c.pem\nkey = \"/k.pem\"", &why));
    /* The second file adds, and does not change. */
    assert_true(parse("/etc/sluice.conf", "default=h2\n[h1]\nurl=https://wrong\n[h2]\nurl=https://h2\nca=ca.pem\n",
                      &why));
    assert_int_equal(f.hosts, 4);
    assert_string_equal(f.default_host, "h1");
    h = conf_find(&f, "h1");
    assert_string_equal(h->url, "https://h1.example.net");
    assert_string_equal(h->ca, "/home/me/.config/ca.pem");
    assert_string_equal(h->token_file, "/home/me/tok en");
    assert_string_equal(h->file, "/home/me/.config/sluice.conf");
    assert_true(conf_find(&f, "lab")->insecure);
    assert_string_equal(conf_find(&f, "v6")->key, "/k.pem");
    assert_string_equal(conf_find(&f, "h2")->ca, "/etc/ca.pem");
    assert_null(conf_find(&f, "h3"));
    conf_free(&f);
}

static void bad(void **state)
{
    static const struct { const char *text, *why; } t[] = {
        { "url = https://h", "c:1: before the first [host] only" },
        { "[h]\nurl", "c:2: expected [host] or key = value, not 'url'" },
        { "[h]\nurl =", "c:2: no value is given for 'url'" },
        { "[h\nurl = https://h", "c:1: expected ']'" },
        { "[]\n", "c:1: a host needs a name" },
        { "[a b]\n", "c:1: a host's name has" },
        { "[h]\nurl = ftp://h", "c:2: a host's url is" },
        { "[h]\nurl = https://", "c:2: a host's url is" },
        { "[h]\nurl = https://h/v1", "c:2: a host's url is" },
        { "[h]\nurl = https://me:secret@h", "c:2: a host's url is" },
        { "[h]\nurl = https://h h", "c:2: a host's url is" },
        { "[h]\nurl = https://h\ncolour = red", "c:3: a host has url," },
        { "[h]\nurl = https://h\ntoken = secret", "c:3: a token stands in a file of its own" },
        { "[h]\nurl = https://h\ninsecure = maybe", "c:3: insecure is yes or no" },
        { "[h]\nca = x", "c: host h has no url" },
        { "[h]\nurl = https://h\ncert = x", "cert and key go together" },
        { "[h]\nurl = https://h\n[h]\nurl = https://i", "c:3: this host stands in the file twice" },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char *why;

        if (parse("c", t[i].text, &why))
            fail_msg("accepted: %s", t[i].text);
        if (!strstr(why, t[i].why))
            fail_msg("%s\n-> %s", t[i].text, why);
        free(why);
        conf_free(&f);
    }
}

static void no_text(void **state)
{
    char *why = NULL;

    assert_false(conf_parse(&f, "c", "a\0b", 3, NULL, &why));
    free(why);
    conf_free(&f);
    assert_true(conf_parse(&f, "c", "", 0, NULL, &why));
    conf_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
