/* SPDX-License-Identifier: MIT */
/* pki.h - certificates and keys for tests on the workstation, valid from 2025 to 2039 (tests/pki). */
#ifndef FAKES_PKI_H
#define FAKES_PKI_H

static const char pki_ca[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBUTCB+aADAgECAgERMAoGCCqGSM49BAMCMBkxFzAVBgNVBAMMDnRlc3QgYXV0\n"
    "aG9yaXR5MB4XDTI1MDEwMTAwMDAwMFoXDTM5MTIzMTAwMDAwMFowGTEXMBUGA1UE\n"
    "AwwOdGVzdCBhdXRob3JpdHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASM7Kdz\n"
    "iEaJbTBo2yKP2cqfAj006RS28EVV+cKE14bqwl6MDPW/hiW0ApmvH1KIZX3fTfTx\n"
    "smfFsCRoe8z3RVJ+ozIwMDAPBgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBR0bdCn\n"
    "BvRzKAa4LuL/fZ3hWrF3wTAKBggqhkjOPQQDAgNHADBEAiAsc028r15H0L9L2eKX\n"
    "2nR70BnCaeyhrD2VqA+p6u7vNwIgNQnfQLgnRKKJU3Fx7kWVcZpBV/RZysIRFbvd\n"
    "CXqpeBs=\n"
    "-----END CERTIFICATE-----\n";
static const char pki_server_crt[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBsjCCAVegAwIBAgIBEzAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1\n"
    "dGhvcml0eTAeFw0yNTAxMDEwMDAwMDBaFw0zOTEyMzEwMDAwMDBaMCExDzANBgNV\n"
    "BAMMBnNsdWljZTEOMAwGA1UECwwFYWRtaW4wWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
    "BwNCAASQrT4N7lpeVmiF7lMbVqbL1w3tkucRXRxhdmi1cweS1GdfIIeoAjwB6FyR\n"
    "OL4Av5GHbVAZ93R+Q3FZPvJK9cAXo4GHMIGEMAkGA1UdEwQCMAAwEwYDVR0lBAww\n"
    "CgYIKwYBBQUHAwEwIgYDVR0RBBswGYIJbG9jYWxob3N0hwR/AAABggZzbHVpY2Uw\n"
    "HQYDVR0OBBYEFK99/gh4KIhcy4/jlwLqQblWjcirMB8GA1UdIwQYMBaAFHRt0KcG\n"
    "9HMoBrgu4v99neFasXfBMAoGCCqGSM49BAMCA0kAMEYCIQCHO5/Nfbqepml7lhlP\n"
    "SEpDji+XDELChE28cct/uTAH4gIhAKI6+bfk0bPzAw1DXKB2zuYj4nbHgRVpnKrl\n"
    "nxmK9hJD\n"
    "-----END CERTIFICATE-----\n";
static const char pki_server_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIOKZj3JA18pvUwP42OsHb6xfksZYrwsPFa6H/R+wIPr/oAoGCCqGSM49\n"
    "AwEHoUQDQgAEkK0+De5aXlZohe5TG1amy9cN7ZLnEV0cYXZotXMHktRnXyCHqAI8\n"
    "AehckTi+AL+Rh21QGfd0fkNxWT7ySvXAFw==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char pki_admin_crt[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBijCCATCgAwIBAgIBFTAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1\n"
    "dGhvcml0eTAeFw0yNTAxMDEwMDAwMDBaFw0zOTEyMzEwMDAwMDBaMCAxDjAMBgNV\n"
    "BAMMBWFsaWNlMQ4wDAYDVQQLDAVhZG1pbjBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
    "A0IABMVHzjW6Y/J/GE/Sj2rc50MF2jAUMQ4/T8RixmceGWM02iSCllnQ/dTv6Ysl\n"
    "2bHZwvxNMm7I1tiHAS57fd++FLqjYjBgMAkGA1UdEwQCMAAwEwYDVR0lBAwwCgYI\n"
    "KwYBBQUHAwIwHQYDVR0OBBYEFDoRIaicODNcmWIxpZL+QMl+Y4HrMB8GA1UdIwQY\n"
    "MBaAFHRt0KcG9HMoBrgu4v99neFasXfBMAoGCCqGSM49BAMCA0gAMEUCIETQKO3S\n"
    "mKABn+A7CeP9Vc+LEwZ2RZUVytX4vgapQv1QAiEAslxF3X8qxWv3tXI5gr46VmfO\n"
    "WAFmTyyjoivNRiwSOLo=\n"
    "-----END CERTIFICATE-----\n";
static const char pki_admin_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIGl69g+Hy4mNs7UxB2aH5TmtU4Brj3Cdmmx5nrhFN57CoAoGCCqGSM49\n"
    "AwEHoUQDQgAExUfONbpj8n8YT9KPatznQwXaMBQxDj9PxGLGZx4ZYzTaJIKWWdD9\n"
    "1O/piyXZsdnC/E0ybsjW2IcBLnt9374Uug==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char pki_expired_crt[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBizCCATCgAwIBAgIBGDAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA50ZXN0IGF1\n"
    "dGhvcml0eTAeFw0yNDAxMDEwMDAwMDBaFw0yNTA2MDEwMDAwMDBaMCAxDjAMBgNV\n"
    "BAMMBWFsaWNlMQ4wDAYDVQQLDAVhZG1pbjBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
    "A0IABHMZV3AzbLHBlYJkn6DGXDc5dDXu75t6zY79s2F7hCJs6CPPZw6pD37bNqs8\n"
    "+BtjB7iqELiJ2ZXMAR3W/KHozSejYjBgMAkGA1UdEwQCMAAwEwYDVR0lBAwwCgYI\n"
    "KwYBBQUHAwIwHQYDVR0OBBYEFIuJ/e2e3j9ToyCxONz5+V3hSf5nMB8GA1UdIwQY\n"
    "MBaAFHRt0KcG9HMoBrgu4v99neFasXfBMAoGCCqGSM49BAMCA0kAMEYCIQC0RHeZ\n"
    "ItrXdtTFbFNQ7L4KQ+hENMMNUC8r2rGfpi3eewIhANyklFiQyPIIpOh8OqWVBl59\n"
    "BnVdDNjATGnUP96zdHEc\n"
    "-----END CERTIFICATE-----\n";
static const char pki_expired_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEILRYvLNs4ACCv+xK9SqH85Jh4Ra7IsralzYwE+RDbhOdoAoGCCqGSM49\n"
    "AwEHoUQDQgAEcxlXcDNsscGVgmSfoMZcNzl0Ne7vm3rNjv2zYXuEImzoI89nDqkP\n"
    "fts2qzz4G2MHuKoQuInZlcwBHdb8oejNJw==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char pki_stranger_crt[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBjjCCATOgAwIBAgIBGTAKBggqhkjOPQQDAjAcMRowGAYDVQQDDBFhbm90aGVy\n"
    "IGF1dGhvcml0eTAeFw0yNTAxMDEwMDAwMDBaFw0zOTEyMzEwMDAwMDBaMCAxDjAM\n"
    "BgNVBAMMBWFsaWNlMQ4wDAYDVQQLDAVhZG1pbjBZMBMGByqGSM49AgEGCCqGSM49\n"
    "AwEHA0IABCnNu3V3s+EXQfwskujmeXfBs0MWeusmNRjqHnXopGN7mrKrg4UpywVy\n"
    "WGsJ7/rDmOjwH6og1fHIHOfX+pYtBqujYjBgMAkGA1UdEwQCMAAwEwYDVR0lBAww\n"
    "CgYIKwYBBQUHAwIwHQYDVR0OBBYEFP2mhoGPlz4L1RzgDt+3slZLtOJKMB8GA1Ud\n"
    "IwQYMBaAFHf9283zhKYLyRS+i6ws61KNUmWPMAoGCCqGSM49BAMCA0kAMEYCIQD8\n"
    "AaDxd8UBhDRSpsjY5l6HYF18u6MXo09hi66DhgFI3gIhAJcPThXCIjM0f1U/zBbG\n"
    "fLT82gVJ4POt/KjDSNPWSF97\n"
    "-----END CERTIFICATE-----\n";
static const char pki_stranger_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIF16uz6ni5KEo5xTv/BUZo2qwnPzOq7B1bMSNUeEFlGdoAoGCCqGSM49\n"
    "AwEHoUQDQgAEKc27dXez4RdB/CyS6OZ5d8GzQxZ66yY1GOoedeikY3uasquDhSnL\n"
    "BXJYawnv+sOY6PAfqiDV8cgc59f6li0Gqw==\n"
    "-----END EC PRIVATE KEY-----\n";

#endif
