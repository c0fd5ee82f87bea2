import { backOff } from 'exponential-backoff';
import { createTransport, type Transporter } from 'nodemailer';
import type { Background } from '../../lib/background';
import type { Log } from '../../lib/log';

export interface Mail {
  to: string;
  subject: string;
  text: string;
}

export interface MailerDeps {
  smtpUrl: string;
  from: string;
  background: Background;
  log: Log;
}

const MAIL_RETRIES = { numOfAttempts: 4, startingDelay: 500, maxDelay: 5_000 };
const SMTP_TIMEOUT_MS = 10_000;

/** Sends plain mails through one SMTP server. */
export class Mailer {
  private readonly transport: Transporter;

  constructor(private readonly deps: MailerDeps) {
    this.transport = createTransport({ url: deps.smtpUrl, connectionTimeout: SMTP_TIMEOUT_MS, greetingTimeout: SMTP_TIMEOUT_MS, socketTimeout: SMTP_TIMEOUT_MS });
  }

  /** Sends a mail after this, trying a few times. A failure is logged, without what the mail says and whom it is for. */
  send(mail: Mail): void {
    const { background, from, log } = this.deps;
    background.run(
      async () => void (await backOff(() => this.transport.sendMail({ ...mail, from }), { ...MAIL_RETRIES, jitter: 'full' })),
      (error) => {
        const { code, responseCode } = error as { code?: string; responseCode?: number }; // the message may hold the address
        log.warn({ code, responseCode }, 'mail: one was not sent');
      },
    );
  }
}
