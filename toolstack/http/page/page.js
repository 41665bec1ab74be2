// SPDX-License-Identifier: MIT
// page.js - the page: log in, look again every two seconds, show, act.
import { ApiError, domainPath, hasToken, json, metricsByDomain, request, setToken } from './api.js';
import { bytes, draw, duration, push } from './graph.js';
import { openConsole } from './term.js';

const EVERY_MS = 2000;
const $ = id => document.getElementById(id);
const main = document.querySelector('main');
const rows = new Map();             // domain -> { tr, cpu: [], rx: [], tx: [] }
const host = { cpu: [], memory: [] };
let before = null, timer = 0, seen = 0;

function say(text) {
    $('message').textContent = text;
    $('message').hidden = !text;
}

// ---- looking

async function look() {
    const [h, domains, metrics] = await Promise.all([
        json('GET', '/v1/host'), json('GET', '/v1/domains'), request('GET', '/metrics').then(r => r.text())]);
    const m = metricsByDomain(metrics);
    return { h, domains, time: h.uptime_ns / 1e9, cpu: m.sluice_domain_cpu_seconds_total ?? {},
        sent: m.sluice_port_in_bytes_total ?? {}, received: m.sluice_port_out_bytes_total ?? {} };
}

// By how much a domain's counter grew in a second; null when that is not known.
function rate(now, was, what, name) {
    if (!was || now.time <= was.time || !(name in now[what]) || !(name in was[what]) || now[what][name] < was[what][name])
        return null;
    return (now[what][name] - was[what][name]) / (now.time - was.time);
}

function showHost(now, busy) {
    const h = now.h, total = h.memory_pages * 4096, free = h.memory_free_pages * 4096;
    $('name').textContent = h.name || 'Sluice';
    document.title = (h.name || 'host') + ' – Sluice';
    $('cpus').textContent = h.cpus + (busy === null ? '' : ', ' + Math.round(busy) + ' % by guests');
    $('memory').textContent = bytes(total - free) + ' of ' + bytes(total);
    $('uptime').textContent = duration(now.time);
    $('version').textContent = h.version ?? '';
    push(host.cpu, busy);
    push(host.memory, total - free);
    draw($('host-cpu'), [host.cpu], h.cpus * 100);
    draw($('host-memory'), [host.memory], total);
}

function rowOf(name) {
    if (!rows.has(name)) {
        const tr = $('row').content.firstElementChild.cloneNode(true);
        tr.dataset.domain = name;
        tr.querySelector('.name').textContent = name;
        tr.querySelector('.name').title = name;
        $('domains').append(tr);
        rows.set(name, { tr, cpu: [], rx: [], tx: [] });
    }
    return rows.get(name);
}

function showDomain(d, now) {
    const r = rowOf(d.name), set = (cls, text) => { r.tr.querySelector('.' + cls).textContent = text; };
    const cpu = rate(now, before, 'cpu', d.name);
    const rx = rate(now, before, 'received', d.name), tx = rate(now, before, 'sent', d.name);
    const act = what => r.tr.querySelector(`[data-do=${what}]`);
    const alive = d.state === 'running' || d.state === 'paused';
    set('id', d.id ?? '–');
    set('state', d.state + (d.reason ? ` (${d.reason})` : ''));
    r.tr.querySelector('.state').className = 'state ' + d.state;
    set('mem', bytes((d.memory_kib ?? 0) * 1024));
    set('vcpus', d.vcpus_online ?? d.vcpus);
    push(r.cpu, cpu === null ? null : cpu * 100);
    push(r.rx, rx);
    push(r.tx, tx);
    set('cpu-now', cpu === null ? '–' : (cpu * 100).toFixed(1) + ' %');
    set('net-now .in', rx === null ? '–' : '↓ ' + bytes(rx) + 'B/s');
    set('net-now .out', rx === null ? '' : '↑ ' + bytes(tx) + 'B/s');
    draw(r.tr.querySelector('.cpu'), [r.cpu], 100 * Math.max(1, d.vcpus ?? 1));
    draw(r.tr.querySelector('.net'), [r.rx, r.tx], Math.max(1024, ...r.rx, ...r.tx));
    act('pause').hidden = d.state !== 'running';
    act('unpause').hidden = d.state !== 'paused';
    act('resume').hidden = d.state !== 'suspended';
    act('shutdown').disabled = act('reboot').disabled = d.state !== 'running';
    act('destroy').disabled = !alive && d.state !== 'shutdown' && d.state !== 'suspended';
    return cpu === null ? 0 : cpu * 100;
}

function show(now) {
    const here = new Set(now.domains.map(d => d.name));
    let busy = 0;
    for (const [name, r] of rows) {
        if (!here.has(name)) {
            r.tr.remove();
            rows.delete(name);
        }
    }
    $('facts').hidden = main.hidden = false;
    for (const d of now.domains)
        busy += showDomain(d, now);
    $('none').hidden = now.domains.length > 0;
    $('count').textContent = now.domains.length || '';
    document.querySelector('table').hidden = now.domains.length === 0;
    main.classList.remove('stale');
    $('log-out').hidden = !hasToken();
    seen = Date.now();
    showHost(now, before ? busy : null);
    before = now;
}

function logIn(text) {
    clearTimeout(timer);
    $('facts').hidden = main.hidden = $('log-out').hidden = true;
    $('login').hidden = false;
    $('token').focus();
    $('message').dataset.of = 'look';
    say(text);
}

async function turn() {
    clearTimeout(timer);
    try {
        show(await look());
        $('login').hidden = true;
        if ($('message').dataset.of === 'look')
            say('');
    } catch (e) {
        if (e instanceof ApiError && e.status === 401)
            return logIn($('token').value ? 'The host does not know this token.' : '');
        $('message').dataset.of = 'look';
        main.classList.add('stale');
        say(e.message + (seen ? `; what is below is ${Math.round((Date.now() - seen) / 1000)} s old` : ''));
    }
    timer = setTimeout(turn, EVERY_MS);
}

// ---- acting

async function act(method, path, value) {
    try {
        await json(method, path, value);
        say('');
    } catch (e) {
        $('message').dataset.of = 'act';
        say(e.message);
    }
    turn();
}

function sure(text) {
    const d = $('sure');
    $('sure-text').textContent = text;
    d.showModal();
    return new Promise(answer => {
        const end = yes => () => { d.close(); answer(yes); };
        $('sure-yes').onclick = end(true);
        $('sure-no').onclick = d.oncancel = end(false);
    });
}

$('domains').addEventListener('click', async e => {
    const what = e.target.dataset?.do, name = e.target.closest('tr')?.dataset.domain;
    if (!what || !name)
        return;
    if (what === 'console')
        return openConsole(name);
    if (what === 'destroy' && !await sure(`End ${name} at once? What it has not written to its disks is lost.`))
        return;
    e.target.classList.add('busy');
    await act('POST', domainPath(name, '/' + what));
    e.target.classList.remove('busy');
});

$('create-open').addEventListener('click', async () => {
    $('create-error').textContent = '';
    $('config').value ||= 'name = "web"\nkernel = "vmlinuz"\nramdisk = "initrd.img"\nmemory = 256\nvcpus = 1\n' +
        'extra = "console=hvc0"\nvif = [ "" ]\ndisk = [ ]\n';
    $('create').showModal();
    try {
        $('files').textContent = (await json('GET', '/v1/files')).map(f => f.name).join(', ') || 'none';
    } catch (e) {
        $('files').textContent = e.message;
    }
});
$('create-no').addEventListener('click', () => $('create').close());
$('create-yes').addEventListener('click', async () => {
    $('create-yes').disabled = true;
    $('create-error').textContent = '';
    try {
        await json('POST', '/v1/domains', { config: $('config').value, paused: $('paused').checked });
        $('create').close();
        turn();
    } catch (e) {
        $('create-error').textContent = e.message;
    }
    $('create-yes').disabled = false;
});

$('log-out').addEventListener('click', () => location.reload());

$('login').addEventListener('submit', e => {
    e.preventDefault();
    setToken($('token').value.trim());
    before = null;
    turn();
});

turn();
