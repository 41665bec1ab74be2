// SPDX-License-Identifier: MIT
// page.mjs - the web page in headless Chromium, with real clicks and keys.
//   node page.mjs PLAYWRIGHT URL ADMIN-TOKEN READER-TOKEN [DIRECTORY-FOR-SCREENSHOTS]
// Prints "ok - what" and "not ok - what" lines.
import { createRequire } from 'node:module';

const [playwright, url, admin, reader, shots] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const PATIENCE = 90000;
let bad = 0;

async function check(what, fn) {
    let why = '';
    let ok = false;
    try {
        ok = await fn() !== false;
    } catch (e) {
        why = String(e.message).split('\n').slice(0, 8).join('\n    | ');
    }
    console.log((ok ? 'ok - ' : 'not ok - ') + what);
    if (!ok) {
        bad++;
        console.log('    | ' + why);
    }
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 720 }, deviceScaleFactor: 1 });
context.setDefaultTimeout(PATIENCE);
const page = await context.newPage();
const outside = [], errors = [];
page.on('request', r => { if (!r.url().startsWith(url) && !r.url().startsWith('data:')) outside.push(r.url()); });
page.on('pageerror', e => errors.push(String(e)));
page.on('console', m => { if (m.type() === 'error' && !/ERR_INTERNET_DISCONNECTED|status of 4\d\d/.test(m.text())) errors.push(m.text()); });
const shot = async name => { if (shots) await page.screenshot({ path: `${shots}/${name}.png` }); };
const row = name => page.locator(`tr[data-domain="${name}"]`);
const state = (name, s) => row(name).locator('.state').filter({ hasText: s }).waitFor();
const button = (name, what) => row(name).getByRole('button', { name: what, exact: true });
const message = text => page.locator('#message').filter({ hasText: text }).waitFor();
async function logIn(token) {
    await page.locator('#token').fill(token);
    await page.getByRole('button', { name: 'Log in' }).click();
}
async function create(config, paused = false) {
    await page.getByRole('button', { name: 'Create…' }).click();
    await page.locator('#config').fill(config);
    await page.locator('#paused').setChecked(paused);
    await page.locator('#create-yes').click();
}
// Has a graph something on it besides its base line?
const drawn = canvas => canvas.evaluate(c => {
    const d = c.getContext('2d').getImageData(0, 0, c.width, c.height - 3).data;
    return d.some((v, i) => i % 4 === 3 && v > 0);
});
async function until(fn) {
    const end = Date.now() + PATIENCE;
    while (!await fn()) {
        if (Date.now() > end)
            throw new Error('not in time');
        await page.waitForTimeout(200);
    }
}

const first = await page.goto(url + '/');
await check('the page comes, packed and with a policy', () => first.status() === 200 &&
    first.headers()['content-security-policy'].includes("default-src 'none'"));
await check('it asks for a token and shows nothing of the host', async () => {
    await page.locator('#login').waitFor();
    return !await page.locator('main').isVisible() && await page.locator('#name').textContent() === 'Sluice';
});
await logIn('not a token');
await check('a wrong token is told', () => message('does not know this token'));
await logIn(admin);
await check('the right one shows the host', async () => {
    await page.locator('main').waitFor();
    await page.locator('#name').filter({ hasText: 'h1' }).waitFor();
    return /^2, \d+ % by guests$|^2$/.test(await page.locator('#cpus').textContent());
});
await check('  and the complaint is gone', () => page.locator('#message').waitFor({ state: 'hidden' }));
await check('no domains yet', () => page.locator('#none').waitFor());
await shot('page-none');

await create('name = "x"\nkernel = "hello"\ncolour = "red"\n');
await check('create: what the host refuses is told in the dialog', () =>
    page.locator('#create-error').filter({ hasText: "unknown key 'colour'" }).waitFor());
await check('  with the files that there are', async () => (await page.locator('#files').textContent()).includes('hello'));
await shot('page-create');
await page.locator('#create-no').click();
await create('name = "hi"\nkernel = "hello"\nmemory = 16\nextra = "forever"\n', true);
await check('create, left paused: a row of its own', () => state('hi', 'paused'));
await button('hi', 'Go on').click();
await check('go on: it runs', () => state('hi', 'running'));
await button('hi', 'Pause').click();
await check('pause: it stands', () => state('hi', 'paused'));
await button('hi', 'Go on').click();
await check('  and runs again', () => state('hi', 'running'));

await create('name = "deb"\nkernel = "vmlinuz"\nramdisk = "initramfs"\nmemory = 128\nvif = [ "" ]\n' +
    'extra = "console=hvc0 quiet shell then=stay"\n');
await check('a stock Debian guest is created', () => state('deb', 'running'));
await button('deb', 'Console').click();
const screen = page.locator('.xterm-rows');
const seen = pattern => until(async () => pattern.test(await screen.innerText()));
await check('its console shows what it prints', () => seen(/guest: init/));
await check('  and a shell', () => seen(/\/ #\s*$/m));
await page.keyboard.type("echo it''works; uname -s\n");
await check('  which takes keys', () => seen(/^itworks[\s\S]*^Linux/m));
await page.keyboard.type(`sh -c 'trap "echo c4$((1+1))t; exit" INT; echo g$((1+1))g; while :; do sleep 1; done'\n`);
await seen(/^g2g/m);
await page.keyboard.press('Control+c');
await check('  Ctrl-C too', () => seen(/c42t[\s\S]*# \s*$/));
await shot('page-console');
await page.locator('#console-close').click();
await button('deb', 'Console').click();
await check('opened again, the old output is there', () => seen(/^itworks/m));
await page.keyboard.type("echo cl''ean\n");
await check('  and the terminal has not typed its answers into the shell', () => seen(/^clean/m));
await page.keyboard.type('while :; do :; done & ping -q -i 0.2 10.0.2.2 > /dev/null &\n');
await page.locator('#console-close').click();
await check('its CPU share and network are shown', () => until(async () =>
    parseFloat(await row('deb').locator('.cpu-now').textContent()) > 20 && /[1-9]/.test(await row('deb').locator('.net-now').textContent())));
await check('  as lines that grow', () => until(async () => await drawn(row('deb').locator('canvas.cpu')) && await drawn(row('deb').locator('canvas.net'))));
await check('  the host\'s too', () => until(async () => await drawn(page.locator('#host-cpu')) && await drawn(page.locator('#host-memory'))));
if (shots)
    await page.waitForTimeout(45000);
await shot('page');
await context.setOffline(true);
await check('a host that does not answer: told, and what is shown is marked as old', async () => {
    await message(/does not answer; what is below is \d+ s old/);
    return page.locator('main.stale').waitFor();
});
await context.setOffline(false);
await check('  until it answers', async () => {
    await page.locator('#message').waitFor({ state: 'hidden' });
    return page.locator('main:not(.stale)').waitFor();
});
await page.setViewportSize({ width: 390, height: 780 });
await check('on a telephone nothing lies outside of the screen', async () => {
    const outside = await page.evaluate(() => [...document.querySelectorAll('main *, header *')].filter(e =>
        e.getClientRects().length && (e.getBoundingClientRect().right > innerWidth || e.getBoundingClientRect().left < 0))
        .map(e => e.outerHTML.slice(0, 60)));
    if (outside.length || await page.evaluate(() => document.documentElement.scrollWidth > innerWidth))
        throw new Error(outside.join('\n'));
});
await button('hi', 'Pause').click();
await check('  and buttons work there', () => state('hi', 'paused'));
if (shots)
    await page.waitForTimeout(3000);
await shot('page-phone');
await button('hi', 'Go on').click();
await state('hi', 'running');
await page.setViewportSize({ width: 1280, height: 720 });
await button('deb', 'Reboot').click();
await check('reboot: its id changes', () => until(async () => await row('deb').locator('.id').textContent() === '3'));
await button('deb', 'Console').click();
await until(async () => (await screen.innerText()).split('guest: init').length > 1);
await page.locator('#console-close').click();
await button('deb', 'Shut down').click();
await check('shut down: the row goes', () => row('deb').waitFor({ state: 'detached' }));

await button('hi', 'Console').click();
await check('a console of a domain', () => seen(/tick/));
await page.evaluate(async t => { await fetch('/v1/domains/hi', { method: 'DELETE', headers: { Authorization: 'Bearer ' + t } }); }, admin);
await check('  that ends meanwhile says so', () => page.locator('#console-state').filter({ hasText: 'the domain has ended' }).waitFor());
await page.locator('#console-close').click();

await create('name = "hi"\nkernel = "hello"\nmemory = 16\nextra = "forever"\n');
await state('hi', 'running');
await button('hi', 'Destroy').click();
await page.locator('#sure-no').click();
await check('destroy asks first', () => state('hi', 'running'));
await button('hi', 'Destroy').click();
await page.locator('#sure-yes').click();
await check('  and does', () => row('hi').waitFor({ state: 'detached' }));

await create('name = "hi"\nkernel = "hello"\nmemory = 16\nextra = "forever"\n');
await state('hi', 'running');
await page.getByRole('button', { name: 'Log out' }).click();
await check('logging out forgets the token', () => page.locator('#login').waitFor());
await logIn(admin);
await state('hi', 'running');
await page.reload();
await check('a reload forgets the token', () => page.locator('#login').waitFor());
await logIn(reader);
await check('a reader sees', () => state('hi', 'running'));
await button('hi', 'Pause').click();
await check('  and changes nothing', async () => { await message('needs the role admin'); return state('hi', 'running'); });
await button('hi', 'Console').click();
await check('  reads consoles', () => seen(/tick/));
await page.locator('#console-close').click();
await check('nothing was asked of anybody else', () => { if (outside.length) throw new Error(outside.join(' ')); });
await check('no script failed and no policy was broken', () => { if (errors.length) throw new Error(errors.join('\n')); });
await browser.close();
process.exit(bad ? 1 : 0);
