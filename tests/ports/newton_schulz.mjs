// The Newton-Schulz iteration of Muon, for the files of
// orthoref export newton_schulz DIR --dtype float32 --dtype float64
// node newton_schulz.mjs DIR RESULTS [steps | typo]
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
const [folder, results, fault] = process.argv.slice(2);

function orthogonalize(a, m, n) {  // X <- c0 X + (c1 G + c2 G^2) X, G = X X^T, for m <= n
    if (m > n) return transposed(orthogonalize(transposed(a, m, n), n, m), n, m);
    const largest = a.reduce((most, x) => Math.max(most, Math.abs(x)), 0);  // squares neither overflow nor underflow
    if (largest === 0) return a;
    let x = a.map(each => each / largest);
    const norm = Math.sqrt(x.reduce((sum, each) => sum + each * each, 0));
    x = x.map(each => each / norm);
    const c = fault === "typo" ? [3.4445, -4.775, 2.0135] : [3.4445, -4.775, 2.0315];
    for (let step = 0; step < (fault === "steps" ? 4 : 5); step++) {
        const g = product(x, transposed(x, m, n), m, n, m), gg = product(g, g, m, m, m);
        const y = product(g.map((each, i) => c[1] * each + c[2] * gg[i]), x, m, m, n);
        x = x.map((each, i) => c[0] * each + y[i]);
    }
    return x;
}
function transposed(a, m, n) {
    const b = new Float64Array(m * n);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) b[j * m + i] = a[i * n + j];
    return b;
}
function product(a, b, m, k, n) {
    const c = new Float64Array(m * n);
    for (let i = 0; i < m; i++)
        for (let l = 0; l < k; l++)
            for (let j = 0; j < n; j++) c[i * n + j] += a[i * k + l] * b[l * n + j];
    return c;
}

const manifest = JSON.parse(readFileSync(join(folder, "manifest.json")));
for (const { inputs: [input], outputs: [output] } of manifest.cases) {
    const bytes = readFileSync(join(folder, input.file)), begin = 10 + bytes.readUInt16LE(8); // version 1.0
    const Numbers = input.dtype === "float32" ? Float32Array : Float64Array;
    const a = new Numbers(bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + bytes.length));
    const [m, n] = input.shape.slice(-2), x = new Numbers(a.length);
    for (let at = 0; at < a.length; at += m * n)
        x.set(orthogonalize(Float64Array.from(a.subarray(at, at + m * n)), m, n), at);
    const shape = output.shape.map(d => d + ", ").join("");
    const header = `{'descr': '<f${Numbers.BYTES_PER_ELEMENT}', 'fortran_order': False, 'shape': (${shape}), }`;
    const padding = " ".repeat(63 - (10 + header.length) % 64) + "\n";
    const prefix = Buffer.from("\x93NUMPY\x01\x00\x00\x00" + header + padding, "latin1");
    prefix.writeUInt16LE(prefix.length - 10, 8);
    writeFileSync(join(results, output.file), Buffer.concat([prefix, Buffer.from(x.buffer)]));
}
