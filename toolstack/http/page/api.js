// SPDX-License-Identifier: MIT
// api.js - requests to the host that served the page. The token lives in this module and nowhere else.

let token = '';

export function setToken(t) { token = t; }

export const hasToken = () => token !== '';

export class ApiError extends Error {
    constructor(status, text) { super(text); this.status = status; }
}

// The Response; throws an ApiError with the host's own words when it is no 2xx.
export async function request(method, path, { body, type, signal } = {}) {
    const headers = {};
    if (token)
        headers.Authorization = 'Bearer ' + token;
    if (type)
        headers['Content-Type'] = type;
    let r;
    try {
        r = await fetch(path, { method, headers, body, signal, cache: 'no-store', credentials: 'same-origin', redirect: 'error' });
    } catch (e) {
        if (e.name === 'AbortError')
            throw e;
        throw new ApiError(0, 'the host does not answer');
    }
    if (!r.ok) {
        let text = 'status ' + r.status;
        try { text = (await r.json()).error || text; } catch { /* no JSON: the status must do */ }
        throw new ApiError(r.status, text);
    }
    return r;
}

export async function json(method, path, value) {
    const r = await request(method, path, value === undefined ? {} :
        { body: JSON.stringify(value), type: 'application/json' });
    return r.json();
}

export const domainPath = (name, rest = '') => '/v1/domains/' + encodeURIComponent(name) + rest;

// Sums of Prometheus' lines by domain: { metric: { domain: value } }.
export function metricsByDomain(text) {
    const sums = {};
    for (const line of text.split('\n')) {
        const m = /^([a-z0-9_]+)\{([^}]*)\} ([0-9.e+]+)$/.exec(line);
        const d = m && /(?:^|,)domain="([^"]*)"/.exec(m[2]);
        if (!d || !d[1])
            continue;
        const of = sums[m[1]] ??= Object.create(null);
        of[d[1]] = (of[d[1]] || 0) + Number(m[3]);
    }
    return sums;
}
