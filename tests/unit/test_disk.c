/* SPDX-License-Identifier: MIT */
/* test_disk.c - who may have a medium open together, and disks that wait for their backend. */
/* LINK: blkback/blkback.c blkback/request.c blkback/queue.c blkback/decode.c blkback/copy.c blkback/pin.c runtime/pinned.c blkback/disk.c lib/rate.c blkback/ramdisk.c runtime/xs.c runtime/xbdev.c runtime/loglimit.c */
/* LINK: runtime/xbroot.c runtime/loop.c runtime/cmdline.c lib/strlcpy.c lib/why.c tests/unit/fakes/guest.c tests/unit/fakes/world.c */
#include "tests/unit/vbd_ring.h"

/* Who may have one medium open together. */
static int second_rc;
static struct disk second;

static void second_opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    second_rc = rc;
    if (rc)
        assert_non_null(strstr(why, "medium:b"));
    else
        disk_close(d, NULL, NULL);
}

static void medium_submit(struct disk *d, struct disk_io *io)
{
}

static bool closes_late;
static struct disk *closing_disk;

static void medium_close(struct disk *d)
{
    if (closes_late)
        closing_disk = d;
    else
        disk_closed(d);
}

static void medium_open(struct disk_open *o)
{
    static const struct disk_driver driver = { .submit = medium_submit, .close = medium_close };
    static struct disk first;
    struct disk *d = *o->name == 'a' ? &first : &second;

    *d = (struct disk){ .driver = &driver, .sectors = 500, .logical = 512,
                        .id_start = o->name[1] ? 500 : 0, .readonly = o->spec.readonly };
    strcpy(d->id, "medium");
    disk_opened(o, d);
}

static void first_opened(struct disk_open *o, int rc, struct disk *d, const char *why)
{
    assert_int_equal(rc, 0);
    o->arg = d;
}

static void two_writers(void **unused)
{
    static struct disk_kind kind = { .prefix = "medium:", .open = medium_open };
    static const struct { bool ro1, shared1; const char *target; bool ro2, shared2; int rc; } t[] = {
        { false, false, "medium:b", false, false, -XEN_EBUSY },
        { false, false, "medium:b", true, false, -XEN_EBUSY },
        { true, false, "medium:b", false, false, -XEN_EBUSY },
        { true, false, "medium:b", true, false, 0 },
        { false, true, "medium:b", false, true, 0 },
        { false, false, "medium:b", false, true, 0 },
        { false, false, "medium:b2", false, false, 0 },         /* another part of it */
    };

    disk_kind_add(&kind);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        struct disk_open a = { .spec = { "medium:a", t[i].ro1, t[i].shared1 }, .opened = first_opened };
        struct disk_open b = { .spec = { .readonly = t[i].ro2, .shared = t[i].shared2 },
                               .opened = second_opened };

        strcpy(b.spec.target, t[i].target);
        disk_open(&a);
        second_rc = 1;
        disk_open(&b);
        assert_int_equal(second_rc, t[i].rc);
        disk_close(a.arg, NULL, NULL);
        disk_open(&b);                  /* and when the first is gone */
        assert_int_equal(second_rc, 0);
    }
}

/* One that is being closed is waited for, not in the way. */
static void waits_for_close(void **unused)
{
    struct disk_open a = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open b = { .spec = { .target = "medium:b" }, .opened = second_opened };

    disk_open(&a);
    closes_late = true;
    disk_close(a.arg, NULL, NULL);
    second_rc = 1;
    disk_open(&b);
    assert_int_equal(second_rc, 1);
    closes_late = false;
    disk_closed(closing_disk);
    assert_int_equal(second_rc, 0);

    /* Who waits may give up, and is not called then. */
    disk_open(&a);
    closes_late = true;
    disk_close(a.arg, NULL, NULL);
    closes_late = false;
    second_rc = 1;
    disk_open(&b);
    disk_open_cancel(&b);
    disk_closed(closing_disk);
    assert_int_equal(second_rc, 1);
    disk_open(&b);
    assert_int_equal(second_rc, 0);
}

/* An open disk that waits for its backend: it is in others' way, and its backend gets that very one. */
static void parked(void **unused)
{
    static int me;
    struct disk_open a = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open again = { .spec = { .target = "medium:a" }, .opened = first_opened };
    struct disk_open b = { .spec = { .target = "medium:b" }, .opened = second_opened };

    disk_open(&a);
    disk_park(a.arg, &me);
    disk_open(&b);
    assert_int_equal(second_rc, -XEN_EBUSY);
    disk_open_parked(&again);
    assert_ptr_equal(again.arg, a.arg);
    disk_unpark(&me);               /* is in use: stays */
    disk_open(&b);
    assert_int_equal(second_rc, -XEN_EBUSY);
    disk_close(a.arg, NULL, NULL);
    disk_open(&a);
    disk_park(a.arg, &me);
    disk_unpark(&me);
    disk_open(&b);
    assert_int_equal(second_rc, 0);
}

/* Rings of several pages, and several of them. */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_writers), cmocka_unit_test(waits_for_close), cmocka_unit_test(parked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
