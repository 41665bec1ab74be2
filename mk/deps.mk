# SPDX-License-Identifier: MIT
# What a bare Debian 12 lacks: packages, and third-party sources in build/deps.
# Each source's files, flags and include paths stand here; mk/dom0.mk compiles and links them.

DEPS := $(B)/deps

.PHONY: deps
deps:   ## install the packages and fetch the sources that building and testing need
	$(Q)mk/deps.sh

# Fetches what is missing; what compiles third-party code has this as order-only prerequisite.
DEPS_READY := $(DEPS)/.ready
$(DEPS_READY): mk/deps.sh
	$(Q)mk/deps.sh sources && touch $@

# Only Xen's public headers, not the whole of /usr/include, are visible to freestanding code.
$(B)/include/xen:
	$(Q)test -d /usr/include/xen || mk/deps.sh packages
	$(Q)mkdir -p $(@D) && ln -sfn /usr/include/xen $@

# Third-party code is compiled with our flags but its own idea of warnings, into one archive of
# which the linker takes what is used. To add a source: a line in mk/deps.sh, its files in DEPS_C,
# its flags in a DEPS_FLAGS line.
DEPS_CFLAGS := $(FREE) -w -fno-pic -mcmodel=kernel -Iruntime/libc -D__SLUICE_GUEST__

# lwIP: TCP/IP stack of dom0. Configured by toolstack/net/lwipopts.h and toolstack/net/arch/cc.h.
LWIP_DIR := $(DEPS)/lwip/src
LWIP_INC := -Itoolstack/net -isystem $(LWIP_DIR)/include
LWIP_HOST_INC := -isystem toolstack/net -isystem $(LWIP_DIR)/include -include sys/types.h
LWIP_C   := $(addprefix $(LWIP_DIR)/core/,def.c dns.c inet_chksum.c init.c ip.c mem.c memp.c \
              netif.c pbuf.c raw.c stats.c sys.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c) \
            $(addprefix $(LWIP_DIR)/core/ipv4/,dhcp.c etharp.c icmp.c ip4.c ip4_addr.c ip4_frag.c) \
            $(LWIP_DIR)/netif/ethernet.c
DEPS_C   += $(if $(wildcard toolstack/net/lwipopts.h),$(LWIP_C))
$(B)/dep/lwip/%.o: DEPS_FLAGS := $(LWIP_INC)

# Decompressors for the domain builder: gzip, zstd and xz (with the x86 filter that kernels use).
ZLIB_DIR := $(DEPS)/zlib
ZSTD_DIR := $(DEPS)/libzstd/lib
XZ_DIR   := $(DEPS)/xz-utils/src
ZLIB_C   := $(addprefix $(ZLIB_DIR)/,inflate.c inftrees.c inffast.c adler32.c crc32.c zutil.c)
ZSTD_C   := $(addprefix $(ZSTD_DIR)/decompress/,huf_decompress.c zstd_ddict.c zstd_decompress.c \
              zstd_decompress_block.c) \
            $(addprefix $(ZSTD_DIR)/common/,entropy_common.c error_private.c fse_decompress.c \
              zstd_common.c xxhash.c debug.c)
XZ_C     := $(addprefix $(XZ_DIR)/liblzma/,\
              $(addprefix common/,block_decoder.c block_header_decoder.c block_util.c common.c \
                filter_common.c filter_decoder.c filter_flags_decoder.c index_hash.c stream_decoder.c \
                stream_flags_common.c stream_flags_decoder.c vli_decoder.c vli_size.c) \
              $(addprefix check/,check.c crc32_fast.c crc32_table.c crc64_fast.c crc64_table.c) \
              lz/lz_decoder.c lzma/lzma_decoder.c lzma/lzma2_decoder.c \
              $(addprefix simple/,simple_coder.c simple_decoder.c x86.c))
ZLIB_FLAGS := -DZ_SOLO -isystem $(ZLIB_DIR)
ZSTD_FLAGS := -DZSTD_DISABLE_ASM=1 -DDYNAMIC_BMI2=0 -DZSTD_NO_INTRINSICS -DZSTD_NO_TRACE \
              -DZSTD_LEGACY_SUPPORT=0 -isystem $(ZSTD_DIR) -I$(ZSTD_DIR)/common
# Instead of the config.h that xz's configure writes; toolstack/builder/xz has a stub signal.h.
XZ_FLAGS   := -DHAVE_STDBOOL_H -DHAVE__BOOL -DHAVE_STDINT_H -DHAVE_INTTYPES_H -DHAVE_LIMITS_H -DHAVE_STRING_H \
              -DSIZEOF_SIZE_T=8 -DHAVE_CHECK_CRC32 -DHAVE_CHECK_CRC64 -DHAVE_DECODERS \
              -DHAVE_DECODER_LZMA2 -DHAVE_DECODER_X86 -DTUKLIB_FAST_UNALIGNED_ACCESS \
              -DHAVE___BUILTIN_BSWAPXX \
              -isystem $(XZ_DIR)/liblzma/api $(addprefix -I$(XZ_DIR)/,common $(addprefix liblzma/,\
              common check lz lzma rangecoder simple delta))
DECOMP_INC := -DZ_SOLO -isystem $(ZLIB_DIR) -isystem $(ZSTD_DIR) -isystem $(XZ_DIR)/liblzma/api
DECOMP_C   := $(ZLIB_C) $(ZSTD_C) $(XZ_C)
DEPS_C     += $(DECOMP_C)
$(B)/dep/zlib/%.o $(B)/dep-host/zlib/%.o: DEPS_FLAGS := $(ZLIB_FLAGS)
$(B)/dep/libzstd/%.o $(B)/dep-host/libzstd/%.o: DEPS_FLAGS := $(ZSTD_FLAGS)
$(B)/dep-host/xz-utils/%.o: DEPS_FLAGS := $(XZ_FLAGS)
$(B)/dep/xz-utils/%.o: DEPS_FLAGS := $(XZ_FLAGS) -Itoolstack/builder/xz

# mbedTLS: TLS for the API. Configured by toolstack/net/mbedtls_config.h.
MBEDTLS_DIR := $(DEPS)/mbedtls
MBEDTLS_INC := -D'MBEDTLS_CONFIG_FILE="toolstack/net/mbedtls_config.h"' -isystem $(MBEDTLS_DIR)/include
MBEDTLS_C   := $(addprefix $(MBEDTLS_DIR)/library/,aes.c asn1parse.c asn1write.c base64.c bignum.c \
                 chacha20.c chachapoly.c cipher.c cipher_wrap.c constant_time.c ecdh.c ecdsa.c ecp.c \
                 ecp_curves.c entropy.c gcm.c hmac_drbg.c md.c oid.c pem.c pk.c pk_wrap.c pkparse.c \
                 platform_util.c poly1305.c rsa.c rsa_internal.c sha256.c sha512.c ssl_ciphersuites.c \
                 ssl_cli.c ssl_msg.c ssl_srv.c ssl_tls.c x509.c x509_crt.c)
DEPS_C      += $(MBEDTLS_C)
$(B)/dep/mbedtls/%.o $(B)/dep-host/mbedtls/%.o: DEPS_FLAGS := $(MBEDTLS_INC) -I.

DEPS_OBJ := $(DEPS_C:$(DEPS)/%.c=$(B)/dep/%.o)

# The compiler does not name a file that only system headers include: this one decides how structures look.
LWIP_CONF := toolstack/net/lwipopts.h toolstack/net/csum.h $(wildcard toolstack/net/arch/*.h)
$(LWIP_C:$(DEPS)/%.c=$(B)/dep/%.o) $(patsubst %.c,$(B)/d0/%.o,$(wildcard toolstack/net/*.c)): $(LWIP_CONF)

# The same for unit tests and fuzz targets: name build/libdecomp-host.a, build/libmbedtls-host.a, build/liblwip-host.a in LINK.
# lwIP (with AddressSanitizer: for unit tests) takes its memory from tests/unit/fakes/lwipmem.h.
LWIP_HOST_OBJ := $(LWIP_C:$(DEPS)/%.c=$(B)/dep-host/%.o)
$(LWIP_HOST_OBJ): $(LWIP_CONF) tests/unit/fakes/lwipmem.h | $(B)/include/xen
$(LWIP_HOST_OBJ): DEPS_FLAGS := $(LWIP_INC) -I. -Iinclude -isystem $(B)/include -DSLUICE_HOST=1 -fsanitize=address -fno-omit-frame-pointer -include sys/types.h \
                                -include tests/unit/fakes/lwipmem.h
DECOMP_HOST_OBJ := $(DECOMP_C:$(DEPS)/%.c=$(B)/dep-host/%.o)
MBEDTLS_HOST_OBJ := $(MBEDTLS_C:$(DEPS)/%.c=$(B)/dep-host/%.o)
$(DECOMP_HOST_OBJ) $(MBEDTLS_HOST_OBJ) $(LWIP_HOST_OBJ): $(B)/dep-host/%.o: $(DEPS_READY)
	$(call say,DEPCC)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 -g -w $(DEPS_FLAGS) -MD -MP -c $(DEPS)/$*.c -o $@

$(B)/libdecomp-host.a: $(DECOMP_HOST_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/libmbedtls-host.a: $(MBEDTLS_HOST_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/liblwip-host.a: $(LWIP_HOST_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# The sources may not exist yet when this file is read, so the rule names only what fetches them. -MD, as
# -MMD leaves out our own headers that theirs include: lwipopts.h, cc.h, mbedtls_config.h.
$(DEPS_OBJ): $(B)/dep/%.o: $(DEPS_READY) | $(B)/include/xen
	$(call say,DEPCC)
	$(Q)mkdir -p $(@D) && $(CC) $(DEPS_CFLAGS) $(DEPS_FLAGS) -MD -MP -c $(DEPS)/$*.c -o $@

$(B)/libdeps.a: $(DEPS_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^
