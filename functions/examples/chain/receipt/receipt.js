// A function: answers com.example.order.taxed with com.example.order.receipt,
// whose data is text for a person.
'use strict';
const http = require('node:http');

http.createServer(async (request, response) => {
  if (request.method !== 'POST') {
    response.writeHead(405, { Allow: 'POST' }).end();
    return;
  }
  try {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const order = JSON.parse(Buffer.concat(chunks).toString());
    const text = receipt(order);
    console.log(`receipt over ${order.total}`);
    response.writeHead(200, {
      'ce-specversion': '1.0',
      'ce-type': 'com.example.order.receipt',
      'ce-source': '/examples/chain/receipt',
      'ce-id': `${request.headers['ce-id']}-receipt`,
      'Content-Type': 'text/plain; charset=utf-8',
    }).end(text);
  } catch (fault) {
    response.writeHead(400, { 'Content-Type': 'text/plain' }).end(`want a taxed order: ${fault.message}`);
  }
}).listen(Number(process.env.PORT), '127.0.0.1');

function receipt(order) {
  const money = (cents) => (cents / 100).toFixed(2);
  const lines = order.items.map((i) => `${i.count} x ${i.name}: ${money(i.count * i.price)}`);
  return [...lines, `tax: ${money(order.tax)}`, `total: ${money(order.total)}`, ''].join('\n');
}
