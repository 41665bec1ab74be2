// SPDX-License-Identifier: MIT
// term.js - a domain's console in a dialog: xterm.js, a stream of output, input in order.
import { request, domainPath, ApiError } from './api.js';

const dialog = document.getElementById('console'), screen = document.getElementById('screen');
const title = document.getElementById('console-name'), state = document.getElementById('console-state');
const RETRY_MS = 100;       // the guest reads slowly: what it did not take is sent again

let session = null;

// Input goes in one request at a time, so that keys stay in order. What was typed before the console
// was closed still goes in.
async function sendLoop(s) {
    while (s.input.length) {
        const part = s.input.slice(0, 4096);
        const r = await request('POST', domainPath(s.name, '/console'),
            { body: part, type: 'application/octet-stream' });
        const taken = Math.min((await r.json()).accepted ?? part.length, part.length);
        s.input = s.input.slice(taken);
        if (taken < part.length && s.abort.signal.aborted)
            return;
        if (taken < part.length)
            await new Promise(done => setTimeout(done, RETRY_MS));
    }
}

function type(s, text) {
    const more = new TextEncoder().encode(text), all = new Uint8Array(s.input.length + more.length);
    all.set(s.input);
    all.set(more, s.input.length);
    s.input = all;
    if (s.sending)
        return;
    s.sending = true;
    sendLoop(s).catch(e => {
        s.input = new Uint8Array();
        if (s === session)
            state.textContent = e.message;
    }).finally(() => { s.sending = false; });
}

async function run(s) {
    const signal = s.abort.signal;
    // What was kept comes first. The terminal answers questions in it, but nobody waits for that any
    // more: keys count from behind it.
    const old = await request('GET', domainPath(s.name, '/console?from=0'), { signal });
    const from = old.headers.get('Next-From') ?? '0';
    const kept = new Uint8Array(await old.arrayBuffer());
    await new Promise(done => s.term.write(kept, done));
    s.term.onData(text => type(s, text));
    const r = await request('GET', domainPath(s.name, '/console?follow=1&from=' + from), { signal });
    state.textContent = 'connected';
    const reader = r.body.getReader();
    for (;;) {
        const { done, value } = await reader.read();
        if (done)
            break;
        s.term.write(value);
    }
    state.textContent = 'the domain has ended';
}

export function openConsole(name) {
    closeConsole();
    const s = session = { name, abort: new AbortController(), input: new Uint8Array(), sending: false,
        term: new window.Terminal({ cols: 100, rows: 30, scrollback: 2000, cursorBlink: true }) };
    title.textContent = name;
    state.textContent = '…';
    screen.replaceChildren();
    dialog.showModal();
    s.term.open(screen);
    s.term.focus();
    run(s).catch(e => {
        if (s === session)
            state.textContent = e instanceof ApiError ? e.message : 'the connection broke off';
    });
}

export function closeConsole() {
    if (!session)
        return;
    session.abort.abort();
    session.term.dispose();
    session = null;
    dialog.close();
}

document.getElementById('console-close').addEventListener('click', closeConsole);
dialog.addEventListener('cancel', e => e.preventDefault());     // Escape belongs to the guest
