// A server for WebSocket by the npm package ws, before an MQTT server: what each connection sends goes there, and what comes from
// there goes back in fragments of random sizes with pings in between, whose answers have to be right.
//
//   NODE_PATH=... node ws_server.js PORT MQTT_PORT
'use strict';
const net = require('net');
const { WebSocketServer } = require('ws');
const [port, mqttPort] = process.argv.slice(2).map(Number);

function wrong(what) {
  console.error(`ws_server: ${what}`);
  process.exit(1);
}

let seed = 1;
function random(below) { // the same in each run
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

// In one to four fragments; a ping before each of them now and then.
function send(ws, bytes, pings) {
  while (bytes.length > 0) {
    const frames = 1 + random(4);
    for (let i = 1; i <= frames; i++) {
      if (random(8) === 0) {
        const text = `ping ${pings.sent++}`;
        ws.ping(text);
      }
      const n = Math.min(bytes.length, random(3) === 0 ? random(130) : random(70000));
      ws.send(bytes.subarray(0, n), { binary: true, fin: i === frames });
      bytes = bytes.subarray(n);
    }
  }
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port,
  path: '/mqtt',
  maxPayload: 16 << 20,
  handleProtocols: (protocols) => (protocols.size === 1 && protocols.has('mqtt') ? 'mqtt' : wrong(`the subprotocols are ${[...protocols]}`)),
});

server.on('connection', (ws) => {
  const pings = { sent: 0, answered: 0 };
  const mqtt = net.connect(mqttPort, '127.0.0.1');
  mqtt.setNoDelay(true);
  ws.on('message', (bytes, isBinary) => {
    if (!isBinary) wrong('a text frame came: MQTT is binary [MQTT-6.0.0-1]');
    if (!mqtt.write(bytes)) {
      ws.pause();
      mqtt.once('drain', () => ws.resume());
    }
  });
  ws.on('pong', (text) => {
    const number = Number(text.toString().slice(5));
    // The newest ping may stand for older ones (RFC 6455, section 5.5.3).
    if (!(number >= pings.answered && number < pings.sent)) wrong(`a pong says ${text}`);
    pings.answered = number + 1;
  });
  ws.on('error', (error) => wrong(`what came is no WebSocket: ${error.message}`));
  ws.on('close', (code) => {
    if (![1000, 1001, 1005, 1006].includes(code)) wrong(`closed with ${code}`);
    mqtt.end();
  });
  mqtt.on('data', (bytes) => send(ws, bytes, pings));
  mqtt.on('end', () => ws.close(1000));
  mqtt.on('error', () => ws.terminate());
});
