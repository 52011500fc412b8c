// An HTTP client for Stripe's SDK that speaks HTTP/2, which the SDK's own ones do not.
import { connect, constants } from 'node:http2';
import { readFileSync } from 'node:fs';
import Stripe from 'stripe';

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH, HTTP2_HEADER_STATUS } = constants;
const CONNECTION_ONLY = ['connection', 'host', 'transfer-encoding', 'content-length'];

class Http2Response extends Stripe.HttpClientResponse {
  constructor(headers, body) {
    super(headers[HTTP2_HEADER_STATUS], headers);
    this.body = body;
    this.raw = { headers }; // becomes the answer's `lastResponse`
  }

  getRawResponse() {
    return this.raw;
  }

  async toJSON() {
    return JSON.parse(this.body);
  }
}

export class Http2Client extends Stripe.HttpClient {
  constructor(base, authority) {
    super();
    const trust = authority ? { ca: readFileSync(authority) } : { rejectUnauthorized: false }; // stripe-mock's is nobody's
    this.open = () => connect(base, trust).on('error', () => {});
  }

  getClientName() {
    return 'http2';
  }

  async makeRequest(host, port, path, method, headers, body) {
    if (!this.session || this.session.closed || this.session.destroyed) this.session = this.open();
    const sent = Object.entries(headers).filter(([name]) => !CONNECTION_ONLY.includes(name.toLowerCase()));
    const stream = this.session.request({
      ...Object.fromEntries(sent), [HTTP2_HEADER_METHOD]: method, [HTTP2_HEADER_PATH]: path,
    });
    stream.end(body || undefined);
    return new Promise((resolve, reject) => {
      const chunks = [];
      let answered;
      stream.on('response', (found) => (answered = found));
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () => {
        if (answered) resolve(new Http2Response(answered, Buffer.concat(chunks).toString()));
        else reject(Object.assign(new Error('the stream ended without an answer'), { code: 'ECONNRESET' }));
      });
    });
  }

  close() {
    this.session?.close();
  }
}
