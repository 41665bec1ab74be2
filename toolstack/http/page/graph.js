// SPDX-License-Identifier: MIT
// graph.js - the last minutes of a figure or two as lines in a small canvas; and figures as text.

export const SAMPLES = 60;

// lines: [[values...], ...], newest last, null = not known; top: the value at the upper edge.
export function draw(canvas, lines, top) {
    const ratio = window.devicePixelRatio || 1;
    const w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w || !h)
        return;
    if (canvas.width !== w * ratio) {
        canvas.width = w * ratio;
        canvas.height = h * ratio;
    }
    const c = canvas.getContext('2d'), style = getComputedStyle(document.documentElement);
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    c.strokeStyle = style.getPropertyValue('--line');
    c.beginPath(); c.moveTo(0, h - .5); c.lineTo(w, h - .5); c.stroke();
    lines.forEach((values, i) => {
        const color = style.getPropertyValue(i ? '--second' : '--accent');
        const x = k => w - (values.length - 1 - k) * w / (SAMPLES - 1);
        const y = v => h - 1 - Math.min(v / top, 1) * (h - 3);
        c.strokeStyle = color;
        c.lineWidth = 1.5;
        c.beginPath();
        let pen = false, first = 0, last = 0;
        values.forEach((v, k) => {
            if (v === null) { pen = false; return; }
            if (pen) c.lineTo(x(k), y(v)); else { c.moveTo(x(k), y(v)); first = x(k); }
            pen = true;
            last = x(k);
        });
        c.stroke();
        if (lines.length === 1 && pen) {
            c.lineTo(last, h); c.lineTo(first, h); c.closePath();
            c.globalAlpha = .15; c.fillStyle = color; c.fill(); c.globalAlpha = 1;
        }
    });
}

export function push(list, value) {
    list.push(value);
    if (list.length > SAMPLES)
        list.shift();
}

export function bytes(n) {
    const units = ['', 'K', 'M', 'G', 'T', 'P'];
    let i = 0;
    while (n >= 1000 && i < units.length - 1) { n /= 1024; i++; }
    return (n < 10 && i ? n.toFixed(1) : Math.round(n)) + units[i];
}

export function duration(s) {
    const d = Math.floor(s / 86400), two = n => String(Math.floor(n)).padStart(2, '0');
    return (d ? d + (d === 1 ? ' day, ' : ' days, ') : '') + Math.floor(s % 86400 / 3600) + ':' + two(s % 3600 / 60) + ':' + two(s % 60);
}
