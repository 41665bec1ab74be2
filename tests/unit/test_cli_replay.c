/* SPDX-License-Identifier: MIT */
/* LINK: toolstack/cli/replay.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "toolstack/cli/replay.h"

/* In pieces of every length the result is the same. */
static void expect(const char *in, const char *want)
{
    size_t len = strlen(in);

    for (size_t piece = 1; piece <= len; piece++) {
        struct replay r = { .n = 0 };
        char *out = malloc(2 * len + REPLAY_HELD + 1);
        size_t n = 0;

        for (size_t i = 0; i < len; i += piece) {
            size_t k = piece < len - i ? piece : len - i;
            char *part = malloc(k + REPLAY_HELD);   /* exactly the room that is promised */
            size_t got = replay_filter(&r, in + i, k, part);

            memcpy(out + n, part, got);
            n += got;
            free(part);
        }
        n += replay_end(&r, out + n);
        out[n] = '\0';
        assert_string_equal(out, want);
        free(out);
    }
}

static void questions_go(void **state)
{
    expect("a\033[6nb", "ab");
    expect("\033[c\033[>0c\033[?1;2c\033[5n\033[x\033[?25$p\005\033Z.", ".");
    expect("x\033]11;?\ay\033]4;1;?\033\\z", "xyz");
}

static void all_else_stays(void **state)
{
    static const char *const same[] = {
        "plain\r\n", "\033[31mred\033[0m\033[2J\033[1;1H", "\033]0;title\a.", "\033(B\033=\0337\0338",
        "\033", "\033[", "\033[12", "\033[1\n;n", "\033]0;a title that is longer than what is held of one\a n c",
        "\xc3\xa4\xe2\x82\xac", "[6n", "\033\033", "",
    };

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        expect(same[i], same[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(questions_go), cmocka_unit_test(all_else_stays) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
