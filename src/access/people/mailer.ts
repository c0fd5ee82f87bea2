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

/** Sends plain-text mails through one SMTP server. */
export class Mailer {
  private readonly transport: Transporter;

  constructor(private readonly deps: MailerDeps) {
    this.transport = createTransport({
      url: deps.smtpUrl,
      connectionTimeout: SMTP_TIMEOUT_MS,
      greetingTimeout: SMTP_TIMEOUT_MS,
      socketTimeout: SMTP_TIMEOUT_MS,
    });
  }

  /** Sends a mail in the background, with retries. Logs a failure without the address and the text of the mail. */
  send(mail: Mail): void {
    const { background, from, log } = this.deps;
    background.run(
      async () => void (await backOff(() => this.transport.sendMail({ ...mail, from }), { ...MAIL_RETRIES, jitter: 'full' })),
      (error) => {
        const { code, responseCode } = error as { code?: string; responseCode?: number }; // the error's message may contain the address
        log.warn({ code, responseCode }, 'mail: a mail was not sent');
      },
    );
  }
}
