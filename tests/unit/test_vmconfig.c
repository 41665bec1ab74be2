/* SPDX-License-Identifier: MIT */
/* LINK: lib/vmconfig.c lib/vmvif.c lib/vmdisk.c lib/vmcpus.c lib/cpulist.c lib/words.c lib/xlkeys.c lib/xlcfg.c lib/strlcpy.c lib/why.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/vmconfig.h"
#include "lib/xlkeys.h"

static struct vm_config c;
static char why[256];
static char warned[1024];

static void warn(void *arg, const char *line)
{
    strcat(warned, line);
    strcat(warned, "\n");
}

static int parse(const char *s)
{
    warned[0] = '\0';
    return vm_config_parse(&c, "t.cfg", s, strlen(s), warn, NULL, why, sizeof(why));
}

#define BASE "name='a'\nkernel='k'\n"

static void whole(void **state)
{
    static const uint8_t mac[6] = { 0, 0x16, 0x3e, 0, 0, 1 };

    assert_int_equal(parse("name = \"web\"\ntype='pv'\nkernel = '/boot/vmlinuz'\nramdisk='rd'\n"
                           "root = '/dev/xvda1 ro'\nextra = 'quiet'\nmemory = 512\nmaxmem='1024'\n"
                           "vcpus = 2\nmaxvcpus = 4\ncpu_weight = 512\ncap = 150\n"
                           "uuid = '12345678-9abc-def0-1122-334455667788'\n"
                           "vif = [ 'mac=00:16:3e:0:0:1,bridge=br0,ip=10.0.0.1 10.0.0.2,"
                           "rate=10Mb/s@20ms', '' ]\n"
                           "disk = [ 'nbd://h/x,raw,xvda,w', '/img,,xvdb1,r',"
                           "'vdev=hdc, access=ro, target=/a,b' ]\n"
                           "on_poweroff='preserve'\non_reboot='destroy'\non_crash='restart'\n"
                           "vnc = 1\n"), 0);
    assert_string_equal(c.name, "web");
    assert_string_equal(c.kernel, "/boot/vmlinuz");
    assert_string_equal(c.cmdline, "root=/dev/xvda1 ro quiet");
    assert_int_equal(c.memory_mib, 512);
    assert_int_equal(c.maxmem_mib, 1024);
    assert_int_equal(c.maxvcpus, 4);
    assert_int_equal(c.cpu_cap, 150);
    assert_int_equal(c.uuid[15], 0x88);
    assert_int_equal(c.nr_vifs, 2);
    assert_memory_equal(c.vif[0].mac, mac, 6);
    assert_string_equal(c.vif[0].bridge, "br0");
    assert_int_equal(c.vif[0].nr_ips, 2);
    assert_int_equal(c.vif[0].ip[1], 0x0a000002);
    assert_int_equal(c.vif[0].rate, 1250000);
    assert_int_equal(c.vif[0].rate_interval_us, 20000);
    assert_int_equal(c.vif[1].nr_ips, 0);
    assert_int_equal(c.nr_disks, 3);
    assert_int_equal(c.disk[0].device, 51712);
    assert_false(c.disk[0].readonly);
    assert_int_equal(c.disk[1].device, 51712 + 17);
    assert_true(c.disk[1].readonly);
    assert_string_equal(c.disk[2].target, "/a,b");
    assert_int_equal(c.disk[2].device, 22 << 8);
    assert_int_equal(c.on_poweroff, VM_PRESERVE);
    assert_int_equal(c.on_crash, VM_RESTART);
    assert_non_null(strstr(warned, "t.cfg:19:1: vnc has no effect here: there is no framebuffer"));
}

static void cpus_as_xl_writes_them(void **state)
{
    assert_int_equal(parse(BASE), 0);
    assert_true(!c.cpus[0] && !c.cpus_soft[31]);
    assert_int_equal(parse(BASE "vcpus=2\ncpus='0-3,^1'\ncpus_soft=2"), 0);
    assert_true(c.cpus[0] == 13 && c.cpus[31] == 13 && c.cpus_soft[0] == 4 && c.cpus_soft[31] == 4);
    assert_int_equal(parse(BASE "vcpus=4\ncpus=['2','all',0]\ncpus_soft=[]"), 0);
    assert_true(c.cpus[0] == 4 && c.cpus[1] == ~0UL && c.cpus[2] == 1 && !c.cpus[3] && !c.cpus_soft[0]);
    assert_string_equal(warned, "");
    assert_int_not_equal(parse(BASE "cpus='^1'"), 0);
    assert_string_equal(why, "t.cfg:3:6: cpus: '^1' leaves no CPU");
    assert_int_not_equal(parse(BASE "cpus_soft=['0',\n'1-x']"), 0);
    assert_string_equal(why, "t.cfg:4:1: cpus_soft: '1-x' is no CPU (3), range (0-3), exception (^1) or \"all\"");
    assert_int_not_equal(parse(BASE "cpus=[['1']]"), 0);
    assert_string_equal(why, "t.cfg:3:7: cpus: an element must be a text such as \"0-3,^1\"");
    assert_int_not_equal(parse(BASE "cpus=99"), 0);
    assert_int_not_equal(parse(BASE "cpus=[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]"), 0);
    assert_string_equal(why, "t.cfg:3:71: cpus is for more than 32 vCPUs");
}

static void actions(void **state)
{
    assert_int_equal(parse(BASE "on_watchdog='restart'\non_crash='coredump-restart'\non_poweroff='coredump-destroy'"), 0);
    assert_true(c.on_watchdog == VM_RESTART && c.on_crash == VM_RESTART && c.on_poweroff == VM_DESTROY);
    assert_non_null(strstr(warned, "t.cfg:4:10: on_crash: no core is dumped: see what"));
    assert_int_equal(parse(BASE), 0);
    assert_true(c.on_watchdog == VM_DESTROY && !warned[0]);
}

static void disk_words(void **state)
{
    assert_int_equal(parse(BASE "disk=['/a,raw,xvda,devtype=cdrom','/b,,xvdb,w,no-discard,devtype=disk']"), 0);
    assert_true(c.disk[0].cdrom && c.disk[0].readonly);
    assert_false(c.disk[1].cdrom || c.disk[1].readonly);
    assert_true(c.disk[1].no_discard && !c.disk[0].no_discard);
    assert_int_not_equal(parse(BASE "disk=['/a,raw,xvda,devtype=floppy']"), 0);
}

static void defaults(void **state)
{
    assert_int_equal(parse(BASE), 0);
    assert_int_equal(c.vcpus, 1);
    assert_int_equal(c.memory_mib, 128);
    assert_int_equal(c.on_reboot, VM_RESTART);
    assert_int_equal(parse(BASE "extra='a'\ncmdline='b'"), 0);
    assert_string_equal(c.cmdline, "b");
}

static void vdevs(void **state)
{
    static const struct { const char *name; uint32_t number; } ok[] = {
        { "xvda", 51712 }, { "xvdp15", 51712 + 255 }, { "xvdq", (1 << 28) | (16 << 8) },
        { "xvdaa", (1 << 28) | (26 << 8) }, { "hda", 768 }, { "hdb3", 768 + 64 + 3 },
        { "sda", 2048 }, { "sdb1", 2048 + 17 },
    };
    char text[128];

    for (size_t i = 0; i < sizeof(ok) / sizeof(ok[0]); i++) {
        sprintf(text, BASE "disk=['/d,raw,%s,w']", ok[i].name);
        assert_int_equal(parse(text), 0);
        assert_int_equal(c.disk[0].device, ok[i].number);
    }
}

static void refusals(void **state)
{
    static const struct { const char *text, *line; } bad[] = {
        { "name='a'", "t.cfg: domain a: kernel is not set" },
        { "kernel='k'", "t.cfg: a domain needs a name" },
        { BASE "memory = ", "t.cfg:3:10: expected a value" },
        { BASE "memory = 0", "t.cfg:3:10: memory must be a number from 1" },
        { BASE "memory = 'much'", "t.cfg:3:10: memory must be a number" },
        { BASE "memory = 5000000", "t.cfg:3:10: memory must be" },
        { BASE "vcpus = 33", "t.cfg:3:9: vcpus must be" },
        { BASE "vcpus=4\nmaxvcpus = 2", "maxvcpus 2 is less than vcpus 4" },
        { BASE "memory=9\nmaxmem=8", "maxmem 8 is less" },
        { BASE "colour = 'red'", "t.cfg:3:1: unknown key 'colour'" },
        { BASE "type='hvm'", "only paravirtual" },
        { BASE "name='a/b'", "has a character other" },
        { BASE "name=''", "name is empty" },
        { BASE "uuid='12'", "8-4-4-4-12" },
        { BASE "uuid='12345678-9abc-def0-1122-3344556677889'", "8-4-4-4-12" },
        { BASE "on_crash='reboot'", "on_crash must be" },
        { BASE "on_crash=1", "on_crash must be" },
        { BASE "on_reboot='rename-restart'", "\"preserve\" keeps it" },
        { BASE "vif='x'", "vif must be a list" },
        { BASE "vif=[1]", "text in quotes" },
        { BASE "vif=['mac=00:16:3e:00:00']", "no MAC address" },
        { BASE "vif=['mac=00:16:3e:00:00:01:']", "no MAC address" },
        { BASE "vif=['mac=01:16:3e:00:00:01']", "multicast" },
        { BASE "vif=['ip=10.0.0.256']", "no IPv4 address" },
        { BASE "vif=['ip=10.0.0.1.2']", "no IPv4 address" },
        { BASE "vif=['ip=fe80::1']", "only IPv4" },
        { BASE "vif=['rate=10']", "rate=10: expected" },
        { BASE "vif=['rate=0b/s']", "expected" },
        { BASE "vif=['rate=1b/s']", "expected" },
        { BASE "vif=['rate=1MB/s@9s']", "expected" },
        { BASE "vif=['colour=red']", "unknown key 'colour'" },
        { BASE "vif=['bridge']", "expected key=value" },
        { BASE "vif=['','','','','','','','','']", "more than 8" },
        { BASE "disk=['/d,qcow2,xvda,w']", "only raw" },
        { BASE "disk=['/d,raw,vda,w']", "no virtual disk" },
        { BASE "disk=['/d,raw,xvda,x']", "access is r, w or w!" },
        { BASE "disk=[',raw,xvda,w']", "no target" },
        { BASE "disk=['/a,raw,xvda,w','/b,raw,xvda,w']", "two disks are called xvda" },
        { BASE "disk=['/a,raw,xvda,w,more']", "too many fields" },
        { BASE "disk=['/a,raw,xvda,backendtype=qdisk']", "not supported" },
        { BASE "disk=['/a,raw,xvda,w,iops=x']", "iops is a number" },
        { BASE "disk=['/a,raw,xvda,w,bps=10']", "bps is a rate" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i].text) == 0)
            fail_msg("accepted: %s", bad[i].text);
        if (!strstr(why, bad[i].line) || strchr(why, '\n'))
            fail_msg("%s\n-> %s", bad[i].text, why);
    }
}

static char findings[2048];

static void found(void *arg, const struct vm_config_finding *f)
{
    char line[320];

    assert_ptr_equal(arg, &c);
    snprintf(line, sizeof(line), "%u:%u %s %s\n", f->line, f->column,
             f->refused ? "refused" : "noted", f->text);
    strcat(findings, line);
}

/* Reviews text: so many refusals, and all of these among the findings. */
static void reviewed(const char *text, int refused, const char *const *lines)
{
    findings[0] = '\0';
    assert_int_equal(vm_config_review(&c, text, strlen(text), found, &c), refused);
    for (; *lines; lines++) {
        if (!strstr(findings, *lines))
            fail_msg("no \"%s\" in:\n%s", *lines, findings);
    }
}

/* A review goes on to the end and tells of everything; what could be read is there. */
static void review(void **state)
{
    static const char text[] = "type='hvm'\npci=['03:00.0']\nvnc=1\nkernel='k'\nname='r'\ncolour=1\n"
                               "vif=['script=x,mac=00:16:3e:0:0:1']\nvcpus=4\nmaxvcpus=2\n";

    reviewed(text, 4, (const char *const[]){
        "1:6 refused type = 'hvm' is not supported",
        "\n2:1 refused pci is not supported: devices are not",
        "\n3:1 noted vnc has no effect here: ",
        "\n6:1 refused unknown key 'colour'\n",
        "\n7:6 noted vif: script= has no effect",
        "\n0:0 refused domain r: maxvcpus 2 is less",
        NULL,
    });
    assert_string_equal(c.kernel, "k");
    assert_int_equal(c.nr_vifs, 1);

    reviewed("name=", 1, (const char *const[]){
        "1:6 refused expected a value",
        NULL,
    });
}

/* ... in lists, too: of each element, and of each key in it. */
static void review_of_lists(void **state)
{
    static const char text[] =
        "name='r'\nkernel='k'\npool='0-3'\n"
        "vif=['gatewaydev=eth0,mac=zz,ip=10.0.0.1',\n 7,\n 'bridge=br0',\n 'colour=red,mtu=9000']\n"
        "disk=['a,qcow2,xvda,w',\n 'script=block-x,target=b,vdev=xvdb,backend=dom3',\n"
        " 'c,raw,xvdc,w',\n 'd,raw,xvdc,w',\n 'e,raw']\n";

    reviewed(text, 9, (const char *const[]){
        "3:1 noted pool has no effect here: there is one pool",
        "\n4:6 refused vif: gatewaydev= is not supported: ",
        "\n4:6 refused vif: 'zz' is no MAC address",
        "\n5:2 refused vif: each interface is a text",
        "\n7:2 refused vif: unknown key 'colour'",
        "\n7:2 noted vif: mtu= has no effect",
        "\n8:7 refused disk: ",
        "\n9:2 refused disk: script= is not supported",
        "\n9:2 refused disk: backend= is not supported",
        "\n11:2 refused disk: two disks are called xvdc",
        "\n12:2 refused disk: '' is no virtual disk",
        NULL,
    });
    assert_int_equal(c.nr_disks, 1);
    assert_string_equal(c.disk[0].target, "c");

    /* A host refuses the file at the first of them. */
    {
        char why[320];

        assert_int_not_equal(vm_config_parse(&c, "f", text, strlen(text), NULL, NULL, why, sizeof(why)), 0);
        assert_string_equal(why, "f:4:6: vif: gatewaydev= is not supported: interfaces are bridged, "
                                 "not routed; delete it");
    }
}

/* Each key is either applied or has its row here, once, and its line of advice is whole. */
static void key_table(void **state)
{
    for (size_t i = 0; i < nr_xlkeys; i++) {
        assert_false(vm_config_applies(xlkeys[i].name));
        assert_ptr_equal(xlkey_find(xlkeys[i].name), &xlkeys[i]);
        assert_true(strlen(xlkeys[i].name) + strlen(xlkeys[i].advice) < 200);
    }
    assert_true(vm_config_applies("kernel"));
    assert_null(xlkey_find("kernel"));
    assert_null(xlkey_find("colour"));
}

/* By keys, with target first or last; limits; shared. */
static void disk_keys(void **state)
{
    static const char *const same[] = {
        "target=nbd:h:1/e, vdev=xvda, access=rw",
        "target=nbd:h:1/e, access=w, vdev=xvda", "nbd:h:1/e,xvda,w", "nbd:h:1/e,,xvda,w",
        "vdev=xvda,access=w,target=nbd:h:1/e", "nbd:h:1/e,raw,xvda,w,devtype=disk,discard",
    };

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        char text[300];

        sprintf(text, BASE "disk=['%s']", same[i]);
        assert_int_equal(parse(text), 0);
        assert_string_equal(c.disk[0].target, "nbd:h:1/e");
        assert_string_equal(c.disk[0].vdev, "xvda");
        assert_false(c.disk[0].readonly || c.disk[0].shared || c.disk[0].no_discard);
    }
    assert_int_equal(parse(BASE "disk=['nbd:h/e?timeout=5,raw,xvda,w!,iops=100,bps=20MB/s,no-discard']"), 0);
    assert_string_equal(c.disk[0].target, "nbd:h/e?timeout=5");
    assert_true(c.disk[0].shared && c.disk[0].no_discard);
    assert_int_equal(c.disk[0].iops, 100);
    assert_int_equal(c.disk[0].bps, 20000000);
}

/* Old and new ways of naming a disk of the host. */
static void disks_of_the_host(void **state)
{
    static const char *const same[] = {
        "phy:/dev/vda2,xvda,r", "phy:/dev/vda2,raw,xvda,r", "phy:/dev/vda2,,xvda,r",
        "format=raw,vdev=xvda,access=r,target=phy:/dev/vda2",
    };
    char text[256];

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        sprintf(text, BASE "disk=['%s']", same[i]);
        assert_int_equal(parse(text), 0);
        assert_string_equal(c.disk[0].target, "phy:/dev/vda2");
        assert_int_equal(c.disk[0].device, 51712);
        assert_true(c.disk[0].readonly);
    }
    assert_int_equal(parse(BASE "disk=['/dev/disk/by-partlabel/db,raw,xvda,w']"), 0);
    assert_string_equal(c.disk[0].target, "/dev/disk/by-partlabel/db");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(cpus_as_xl_writes_them),
        cmocka_unit_test(actions),
        cmocka_unit_test(disk_words),
        cmocka_unit_test(defaults),
        cmocka_unit_test(vdevs),
        cmocka_unit_test(refusals),
        cmocka_unit_test(disk_keys),
        cmocka_unit_test(disks_of_the_host),
        cmocka_unit_test(review),
        cmocka_unit_test(review_of_lists),
        cmocka_unit_test(key_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
